import type { SharedRedis } from '../exchange/redis.ts'

/** Counts seconds since the queue was empty, for priorities. */
export class QueueClock {
  readonly #redis: SharedRedis

  constructor(redis: SharedRedis) {
    this.#redis = redis
  }

  /** @param isEmpty whether nothing waits: then the count begins anew */
  async second(isEmpty: boolean): Promise<number> {
    const now = Date.now()
    const begun = await this.#redis.run(async (commands) => {
      if (isEmpty) await commands.set(this.#key, now)
      return commands.get(this.#key)
    })
    return Math.max(0, (now - Number(begun ?? now)) / 1000)
  }

  get #key(): string {
    return this.#redis.name('queue-begun')
  }
}
