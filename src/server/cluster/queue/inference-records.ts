import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { InferenceClient } from '../../inference/host.ts'
import type { SharedRedis } from '../exchange/redis.ts'

const recordSchema = z.object({
  id: z.string(),
  model: z.string(),
  /** Refresh rounds of the model. */
  rounds: z.int(),
  /** Milliseconds since 1970. */
  begun: z.number(),
  place: z.discriminatedUnion('kind', [
    /** It waits in a queue, as a job. */
    z.object({ kind: z.literal('waiting'), job: z.string() }),
    /** A worker process has it. */
    z.object({ kind: z.literal('worker'), worker: z.string(), ended: z.boolean() }),
  ]),
})

/** Where an inference is. */
export type InferenceRecord = z.infer<typeof recordSchema>

/** Where the inferences of a cluster are: in a queue, or on a worker process. They are named by `nameOf`. */
export class InferenceRecords {
  readonly #redis: SharedRedis
  readonly #milliseconds: number

  /** @param milliseconds after which the record of an inference that did not end is forgotten */
  constructor(redis: SharedRedis, milliseconds: number) {
    this.#redis = redis
    this.#milliseconds = milliseconds
  }

  /** The name of a client's inference: a hash, since clients choose ids. */
  static nameOf({ tenant = '', keySet }: InferenceClient, id: string): string {
    return createHash('sha256').update([tenant, keySet, id].join(':')).digest('hex')
  }

  async get(name: string): Promise<InferenceRecord | undefined> {
    const text = await this.#redis.run((commands) => commands.get(this.#key(name)))
    return text === null ? undefined : recordSchema.parse(JSON.parse(text))
  }

  /**
   * Adds a record, unless there is one of an inference that has not ended. @returns whether it was added
   */
  async add(name: string, record: InferenceRecord): Promise<boolean> {
    const before = await this.get(name)
    const isOver = before?.place.kind === 'worker' && before.place.ended
    // Of two at once, the second finds the first's record and is refused.
    if (isOver) await this.remove(name)
    const set = await this.#redis.run((commands) =>
      commands.set(this.#key(name), JSON.stringify(record), 'PX', this.#milliseconds, 'NX'),
    )
    return set === 'OK'
  }

  /** Replaces a record. @param milliseconds after which it is forgotten */
  async replace(name: string, record: InferenceRecord, milliseconds = this.#milliseconds): Promise<void> {
    await this.#redis.run((commands) =>
      commands.set(this.#key(name), JSON.stringify(record), 'PX', Math.ceil(milliseconds)),
    )
  }

  async remove(name: string): Promise<void> {
    await this.#redis.run((commands) => commands.del(this.#key(name)))
  }

  #key(name: string): string {
    return this.#redis.name('inference', name)
  }
}
