import type { ImageCount, ImageCounts } from '../access/image-budget.ts'
import type { SharedRedis } from './exchange/redis.ts'

/** A count of a day is kept for so long. */
const DAYS_SECONDS = 3 * 86_400

/** Images that tenants have classified, counted in Redis by all processes together. */
export class SharedImageCounts implements ImageCounts {
  readonly #redis: SharedRedis

  constructor(redis: SharedRedis) {
    this.#redis = redis
  }

  async of(tenant: string, day: string): Promise<ImageCount> {
    const [today, total] = await this.#redis.run((commands) => commands.mget(this.#names(tenant, day)))
    return { today: Number(today ?? 0), total: Number(total ?? 0) }
  }

  async add(tenant: string, day: string, images: number): Promise<ImageCount> {
    const [ofDay, all] = this.#names(tenant, day)
    const results = await this.#redis.run((commands) =>
      commands.multi().incrby(ofDay, images).incrby(all, images).expire(ofDay, DAYS_SECONDS).exec(),
    )
    const [today, total] = (results ?? []).map(([error, count]) => {
      if (error) throw error
      return Number(count)
    })
    return { today, total }
  }

  #names(tenant: string, day: string): [ofDay: string, all: string] {
    return [this.#redis.name('images', tenant, day), this.#redis.name('images', tenant)]
  }
}
