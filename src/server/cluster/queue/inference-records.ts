import { z } from 'zod'
import type { InferenceClient } from '../../inference/host.ts'
import { inferenceName } from '../../inference/registry.ts'
import type { ServedModel } from '../../models/catalogue.ts'
import type { SharedRedis } from '../exchange/redis.ts'
import { script } from '../exchange/redis-calls.ts'
import { jobId } from './job-queue.ts'
import type { QueryJob } from './query-job.ts'

const recordSchema = z.object({
  id: z.string(),
  model: z.string(),
  /** Refresh rounds of the model. */
  rounds: z.int(),
  /** Milliseconds since 1970. */
  begun: z.number(),
  place: z.discriminatedUnion('kind', [
    /** It waits in a queue, as a job, or begins at a worker process, which has taken the job. */
    z.object({ kind: z.literal('waiting'), job: z.string(), worker: z.string().optional() }),
    /** A worker process has it, which has taken the job. */
    z.object({ kind: z.literal('worker'), worker: z.string(), job: z.string(), ended: z.boolean() }),
  ]),
})

/** Where an inference is. */
export type InferenceRecord = z.infer<typeof recordSchema>

/** Changes a record, unless another process has changed it since it was read. */
const CHANGE = script(`
  if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
  if ARGV[2] == '' then redis.call('del', KEYS[1]) else redis.call('set', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
  return 1`)

/** @returns undefined for what is not understood, such as a record of another version */
function recordIn(text: string): InferenceRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** A worker process, and the job that it has taken. */
export interface JobHolder {
  readonly worker: string
  readonly job: string
}

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
  static nameOf(client: InferenceClient, id: string): string {
    return inferenceName(client, id)
  }

  async get(name: string): Promise<InferenceRecord | undefined> {
    return (await this.#read(name))?.record
  }

  /**
   * Adds a record, unless there is one of an inference that has not ended. @returns whether it was added
   */
  async add(name: string, record: InferenceRecord): Promise<boolean> {
    const before = await this.#read(name)
    if (before?.record.place.kind === 'worker' && before.record.place.ended) {
      return this.#change(name, before.text, JSON.stringify(record))
    }
    const set = await this.#redis.run((commands) =>
      commands.set(this.#key(name), JSON.stringify(record), 'PX', this.#milliseconds, 'NX'),
    )
    return set === 'OK'
  }

  /** Replaces a record. */
  async replace(name: string, record: InferenceRecord): Promise<void> {
    await this.#redis.run((commands) =>
      commands.set(this.#key(name), JSON.stringify(record), 'PX', this.#milliseconds),
    )
  }

  /**
   * Notes that a worker process has taken a job.
   *
   * @returns whether the inference waits as this job. A job may be left over, as when its inference has begun
   *   again as another one.
   */
  async take(name: string, { job, worker }: JobHolder): Promise<boolean> {
    const found = await this.#read(name)
    if (found === undefined) return false
    const { text, record } = found
    if (record.place.kind !== 'waiting' || record.place.job !== job) return false
    return this.#change(name, text, JSON.stringify({ ...record, place: { kind: 'waiting', job, worker } }))
  }

  /**
   * Changes the record of an inference that a worker process has, unless another has it meanwhile.
   *
   * @param milliseconds after which it is forgotten
   * @returns whether it was changed
   */
  async update(
    name: string,
    holder: JobHolder,
    record: InferenceRecord,
    milliseconds = this.#milliseconds,
  ): Promise<boolean> {
    const text = await this.#textHeldBy(name, holder)
    return text !== undefined && this.#change(name, text, JSON.stringify(record), milliseconds)
  }

  /** Whether a worker process has an inference as this job. */
  async isHeld(name: string, holder: JobHolder): Promise<boolean> {
    return (await this.#textHeldBy(name, holder)) !== undefined
  }

  /** As `update`, and removes the record. */
  async release(name: string, holder: JobHolder): Promise<boolean> {
    const text = await this.#textHeldBy(name, holder)
    return text !== undefined && this.#change(name, text, '')
  }

  async remove(name: string): Promise<void> {
    await this.#redis.run((commands) => commands.del(this.#key(name)))
  }

  async #textHeldBy(name: string, { worker, job }: JobHolder): Promise<string | undefined> {
    const found = await this.#read(name)
    const place = found?.record.place
    return place?.worker === worker && place.job === job ? found?.text : undefined
  }

  async #read(
    name: string,
  ): Promise<{ readonly text: string; readonly record: InferenceRecord } | undefined> {
    const text = await this.#redis.run((commands) => commands.get(this.#key(name)))
    const record = text === null ? undefined : recordIn(text)
    return text !== null && record ? { text, record } : undefined
  }

  /** @param text the record as it was read @param next the empty string removes it */
  async #change(
    name: string,
    text: string,
    next: string,
    milliseconds = this.#milliseconds,
  ): Promise<boolean> {
    return (await this.#redis.script(CHANGE, this.#key(name), [text, next, Math.ceil(milliseconds)])) === 1
  }

  #key(name: string): string {
    return this.#redis.name('inference', name)
  }
}

/** The record of an inference that waits. */
export const waitingRecord = (
  job: QueryJob,
  model: Pick<ServedModel, 'name' | 'manifest'>,
): InferenceRecord => ({
  id: job.id,
  model: model.name,
  rounds: model.manifest.rounds,
  begun: Date.now(),
  place: { kind: 'waiting', job: jobId(job) },
})
