import type { SharedRedis } from '../exchange/redis.ts'

const DAY_SECONDS = 86_400

/** Which worker process has last loaded the keys of each set. */
export class KeyHolders {
  readonly #redis: SharedRedis

  constructor(redis: SharedRedis) {
    this.#redis = redis
  }

  /** @param keySet its name @returns the name of a worker process, which may have ended */
  async of(keySet: string): Promise<string | undefined> {
    return (await this.#redis.run((commands) => commands.get(this.#key(keySet)))) ?? undefined
  }

  async note(keySet: string, worker: string): Promise<void> {
    await this.#redis.run((commands) => commands.set(this.#key(keySet), worker, 'EX', DAY_SECONDS))
  }

  #key(keySet: string): string {
    return this.#redis.name('holder', keySet)
  }
}
