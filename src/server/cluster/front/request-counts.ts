import type { Counted, RequestStore } from '../../plugins/request-counts.ts'
import { ownCounts } from '../../plugins/security.ts'
import type { SharedRedis } from '../exchange/redis.ts'

/** Requests of callers, counted in Redis by all HTTP processes together. */
export class SharedRequestCounts implements RequestStore {
  readonly #redis: SharedRedis
  /** Which callers this process has refused. */
  readonly #own = ownCounts()

  constructor(redis: SharedRedis) {
    this.#redis = redis
  }

  incr(key: string, done: Counted, window: number): void {
    this.#own.incr(key, () => {}, window)
    this.#count(key, window).then(
      (counted) => done(null, counted),
      (error) => done(error),
    )
  }

  child(): this {
    return this
  }

  refuse(key: string): boolean {
    return this.#own.refuse(key)
  }

  async #count(key: string, window: number): Promise<{ current: number; ttl: number }> {
    const name = this.#redis.name('requests', key)
    const results = await this.#redis.run((commands) =>
      commands.multi().incr(name).pexpire(name, window, 'NX').pttl(name).exec(),
    )
    const [current, , ttl] = (results ?? []).map(([error, value]) => {
      if (error) throw error
      return Number(value)
    })
    return { current, ttl: ttl < 0 ? window : ttl }
  }
}
