import type { SharedRedis } from '../exchange/redis.ts'

/** Encrypted images of queries that wait for a worker, or whose first output is not there yet. */
export class Frames {
  readonly #redis: SharedRedis
  readonly #milliseconds: number

  /** @param milliseconds for which a frame is kept at most */
  constructor(redis: SharedRedis, milliseconds: number) {
    this.#redis = redis
    this.#milliseconds = milliseconds
  }

  /** @param name of the inference */
  async put(name: string, frame: Uint8Array): Promise<void> {
    await this.#redis.run((commands) =>
      commands.set(
        this.#key(name),
        Buffer.from(frame.buffer, frame.byteOffset, frame.length),
        'PX',
        this.#milliseconds,
      ),
    )
  }

  /** The frame, in a buffer of its own; undefined when it is not kept any more. */
  async get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const frame = await this.#redis.run((commands) => commands.getBuffer(this.#key(name)))
    return frame === null ? undefined : new Uint8Array(frame)
  }

  async remove(name: string): Promise<void> {
    await this.#redis.run((commands) => commands.del(this.#key(name)))
  }

  #key(name: string): string {
    return this.#redis.name('frame', name)
  }
}
