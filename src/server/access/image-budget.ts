import { HttpError } from '../problems/http-error.ts'
import type { Caller } from './caller.ts'
import type { Quota } from './tenant.ts'

const DAY_MILLISECONDS = 86_400_000
const SECOND_MILLISECONDS = 1000

/** Images of a tenant on a day, and in all. */
export interface ImageCount {
  readonly today: number
  readonly total: number
}

/** Counts of images that were classified, by tenant and day. */
export interface ImageCounts {
  of(tenant: string, day: string): Promise<ImageCount>
  /** @param images negative to take some back @returns the counts with them */
  add(tenant: string, day: string, images: number): Promise<ImageCount>
}

/** Images that were counted for a tenant; none where there is no tenant. */
export interface TakenImages {
  readonly tenant?: string
  readonly day: string
  readonly images: number
}

/**
 * The images that tenants may have classified. A client that asks often enough can learn a network from its
 * answers, so a budget limits what one tenant can learn.
 */
export class ImageBudget {
  readonly #counts: ImageCounts
  readonly #now: () => number

  constructor(counts: ImageCounts, now: () => number = Date.now) {
    this.#counts = counts
    this.#now = now
  }

  /**
   * Counts the images of a query. Addresses have no budget: they cannot be told from each other well enough.
   *
   * @returns what `giveBack` takes, for a query that the server itself fails to answer
   * @throws FORBIDDEN (429 with the seconds to wait, or 403) when the tenant has too few left
   */
  async take({ tenant, quota }: Caller, images: number): Promise<TakenImages> {
    const day = this.#day()
    const taken = { tenant, day, images }
    if (tenant === undefined) return taken
    this.#requireEnough(await this.#counts.of(tenant, day), quota, images)
    const { today, total } = await this.#counts.add(tenant, day, images)
    try {
      // Another process may have counted images of the same tenant meanwhile.
      this.#requireEnough({ today: today - images, total: total - images }, quota, images)
    } catch (error) {
      await this.giveBack(taken)
      throw error
    }
    return taken
  }

  /** Takes images back that `take` has counted. */
  async giveBack({ tenant, day, images }: TakenImages): Promise<void> {
    if (tenant !== undefined) await this.#counts.add(tenant, day, -images)
  }

  /** @throws FORBIDDEN as `take` */
  #requireEnough({ today, total }: ImageCount, quota: Quota, images: number): void {
    if (total + images > (quota.images ?? Infinity)) throw spent(images, quota.images! - total)
    const ofDay = quota.imagesPerDay ?? Infinity
    if (images > ofDay) throw tooManyForADay(images, ofDay)
    if (today + images > ofDay) throw this.#spentToday(images, ofDay - today)
  }

  /** Images that a tenant has left on this day, and in all; absent where there is no limit. */
  async left(
    tenant: string,
    { imagesPerDay, images }: Quota,
  ): Promise<{ readonly day?: number; readonly all?: number }> {
    if (imagesPerDay === undefined && images === undefined) return {}
    const { today, total } = await this.#counts.of(tenant, this.#day())
    return {
      ...(imagesPerDay !== undefined && { day: Math.max(0, imagesPerDay - today) }),
      ...(images !== undefined && { all: Math.max(0, images - total) }),
    }
  }

  /** The day in UTC, as 2030-01-31. */
  #day(): string {
    return new Date(this.#now()).toISOString().slice(0, 10)
  }

  #spentToday(images: number, left: number): HttpError {
    const retryAfter = Math.ceil((DAY_MILLISECONDS - (this.#now() % DAY_MILLISECONDS)) / SECOND_MILLISECONDS)
    const message = `The query has ${images} images, and your tenant has ${left} left for this day (UTC)`
    return new HttpError(429, 'FORBIDDEN', message, { images, left, retryAfter }, { remedy: TOMORROW })
  }
}

const TOMORROW = 'Go on when the next day begins in UTC, or ask the operator of the service for more.'
const MORE = 'Ask the operator of the service for more.'

const spent = (images: number, left: number): HttpError =>
  new HttpError(
    403,
    'FORBIDDEN',
    `The query has ${images} images, and your tenant has ${left} left`,
    { images, left },
    { remedy: MORE },
  )

/** Waiting for the next day does not help. */
const tooManyForADay = (images: number, imagesPerDay: number): HttpError =>
  new HttpError(
    403,
    'FORBIDDEN',
    `The query has ${images} images, and your tenant may classify ${imagesPerDay} in a whole day`,
    { images, imagesPerDay },
    { remedy: 'Use a model with a smaller batch, or ask the operator of the service for a larger limit.' },
  )
