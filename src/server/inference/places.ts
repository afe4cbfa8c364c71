import { PolyVeilError } from '../../errors/index.ts'
import { InferenceCancelled } from './engine.ts'

export interface PlacesOptions {
  /** Inferences that run at once. */
  readonly places: number
  /** Of these, those of one owner. */
  readonly placesPerOwner: number
  /** Inferences that wait for a place. */
  readonly queue: number
}

interface Waiting {
  readonly owner: string
  /** Places that the owner may have. */
  readonly most: number
  readonly start: () => void
}

/**
 * The places of running inferences, shared among their owners. One owner never has all places, unless there
 * is one only, nor more than half of the queue; a place that gets free goes to the waiting owner with the
 * fewest running inferences. An inference may hold its place for long, because it waits for its client.
 */
export class Places {
  readonly #options: PlacesOptions
  /** Running inferences by owner. */
  readonly #running = new Map<string, number>()
  /** In order of arrival. */
  readonly #queue = new Set<Waiting>()

  constructor(options: PlacesOptions) {
    this.#options = options
  }

  /** Inferences that wait for a place. */
  get waiting(): number {
    return this.#queue.size
  }

  /**
   * Waits for a place.
   *
   * @param signal ends the wait
   * @param most places that the owner may have at once; by default `placesPerOwner`
   * @returns a function that frees the place, to be called once
   * @throws TOO_BUSY when the queue, or the owner's part of it, is full; InferenceCancelled
   */
  async take(owner: string, signal: AbortSignal, most = this.#options.placesPerOwner): Promise<() => void> {
    if (signal.aborted) throw new InferenceCancelled()
    if (this.#hasPlace(owner, most)) this.#start(owner)
    else await this.#wait(owner, most, signal)
    return () => {
      this.#end(owner)
      this.#next()
    }
  }

  #wait(owner: string, most: number, signal: AbortSignal): Promise<void> {
    this.#requireQueue(owner)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = (): void => {
      this.#queue.delete(waiting)
      reject(new InferenceCancelled())
    }
    const waiting = {
      owner,
      most,
      start: () => {
        signal.removeEventListener('abort', leave)
        this.#start(owner)
        resolve()
      },
    }
    this.#queue.add(waiting)
    signal.addEventListener('abort', leave, { once: true })
    return promise
  }

  /** Gives free places to waiting inferences. */
  #next(): void {
    const [next] = [...this.#queue]
      .filter(({ owner, most }) => this.#hasPlace(owner, most))
      .sort((a, b) => this.#runningOf(a.owner) - this.#runningOf(b.owner))
    if (next === undefined) return
    this.#queue.delete(next)
    next.start()
    this.#next()
  }

  #hasPlace(owner: string, most: number): boolean {
    const running = [...this.#running.values()].reduce((sum, count) => sum + count, 0)
    return running < this.#options.places && this.#runningOf(owner) < most
  }

  #requireQueue(owner: string): void {
    const { queue } = this.#options
    const ofOwner = [...this.#queue].filter((waiting) => waiting.owner === owner).length
    if (this.#queue.size < queue && ofOwner < Math.ceil(queue / 2)) return
    const whose = this.#queue.size < queue ? `${ofOwner} inferences of this client` : `${queue} inferences`
    throw new PolyVeilError('TOO_BUSY', `${whose} are waiting already`, { waiting: this.#queue.size })
  }

  #runningOf(owner: string): number {
    return this.#running.get(owner) ?? 0
  }

  #start(owner: string): void {
    this.#running.set(owner, this.#runningOf(owner) + 1)
  }

  #end(owner: string): void {
    const left = this.#runningOf(owner) - 1
    if (left > 0) this.#running.set(owner, left)
    else this.#running.delete(owner)
  }
}
