import { setTimeout as sleep } from 'node:timers/promises'
import type { TextMapGetter } from '@opentelemetry/api'
import { propagation, ROOT_CONTEXT } from '@opentelemetry/api'
import type { Logger } from 'pino'
import { PolyVeilError } from '../../../errors/index.ts'
import type { Audit } from '../../access/audit.ts'
import type { ImageBudget } from '../../access/image-budget.ts'
import type { HostedInference, InferenceHost, NewQuery, QueryKeySet } from '../../inference/host.ts'
import type { InferenceLimits } from '../../inference/inference.ts'
import type { SentAnswer } from '../../inference/reply-cache.ts'
import type { ServedModel } from '../../models/catalogue.ts'
import type { KeptLocation } from '../../stores/key-set-bytes.ts'
import type { Calls } from '../exchange/calls.ts'
import type { Peers } from '../exchange/peers.ts'
import { TAKEN } from '../exchange/protocol.ts'
import type { Frames } from '../queue/frames.ts'
import { giveBackJob } from '../queue/give-back.ts'
import type { InferenceRecords, JobHolder } from '../queue/inference-records.ts'
import { jobId, type TakenJob } from '../queue/job-queue.ts'
import type { QueryJob } from '../queue/query-job.ts'
import type { WaitingList } from '../queue/waiting-list.ts'
import { outputPayload } from './worker-calls.ts'

export interface HeldInferencesOptions {
  readonly calls: Calls
  readonly peers: Pick<Peers, 'isAlive'>
  readonly waiting: WaitingList
  readonly records: InferenceRecords
  readonly frames: Frames
  readonly host: InferenceHost
  /** The circuit whose file has this digest. @throws MODEL_UNAVAILABLE */
  readonly modelOf: (digest: string) => Promise<ServedModel>
  readonly keysOf: (name: string) => QueryKeySet
  readonly budget: ImageBudget
  readonly audit: Audit
  readonly limits: Pick<InferenceLimits, 'answer'>
  readonly log: Logger
}

/** What is told of a job that has been taken. */
export interface JobEvents {
  /** The inference has come to the engine, or never will. */
  onStarted(): void
  /** The inference has begun. */
  onBegun(): void
  /** The inference has a new state, in which it may leave its place in the engine. */
  onMoment(): void
}

/** Between two tries to send a first output, and their number. */
const SEND_MILLISECONDS = 1000
const MOST_SENDS = 60
/** Inferences that ended are kept for this long, or for the time that an answer is kept. */
const MEMORY_MILLISECONDS = 60_000

/** The inferences of a worker process, from the job that was taken to their end. */
export class HeldInferences {
  readonly #options: HeldInferencesOptions
  readonly #held = new Map<string, HostedInference>()

  constructor(options: HeldInferencesOptions) {
    this.#options = options
  }

  /** The inference of a name in the cluster. */
  find(name: string): HostedInference | undefined {
    return this.#held.get(name)
  }

  /** Begins the inference of a job, and follows it to its end. Faults are logged. */
  async run({ job, done }: TakenJob, events: JobEvents): Promise<void> {
    const { log } = this.#options
    try {
      if (!(await this.#claim(job))) return
      const inference = await this.#begin(job, events)
      if (inference) await this.#follow(job, inference, events)
    } catch (err) {
      log.error({ err, inference: job.id }, 'A job of the queue cannot be followed')
    } finally {
      events.onStarted()
      await done()
    }
  }

  /** @returns false for a job that is left over, and whose inference is elsewhere */
  async #claim(job: QueryJob): Promise<boolean> {
    const { calls, records, waiting, log } = this.#options
    const { process, call } = job.asker
    if (!(await records.take(job.inference, this.#holderOf(job)))) {
      log.info({ inference: job.id }, 'A job is left, because its inference does not wait any more')
      return false
    }
    await waiting.remove(job.inference)
    await calls.tell(process, TAKEN, { data: { call } })
    return true
  }

  /** What names this process and a job in records. */
  #holderOf(job: QueryJob): JobHolder {
    return { worker: this.#options.calls.self, job: jobId(job) }
  }

  /** @returns undefined for an inference that does not begin; then its asker has been told */
  async #begin(job: QueryJob, { onStarted, onBegun }: JobEvents): Promise<HostedInference | undefined> {
    const { calls, host } = this.#options
    const { process, call } = job.asker
    let begun: HostedInference | undefined
    try {
      await this.#requireAsker(job)
      const { query, located } = await this.#queryOf(job)
      const { inference, first } = await host.begin(query).catch((error) => {
        located[Symbol.dispose]()
        throw error
      })
      begun = inference
      // What ends it is for those who ask for it.
      first.catch(() => {})
      onStarted()
      onBegun()
      this.#held.set(job.inference, inference)
      // Another process has it, when this one has stood still in the meantime.
      if (!(await this.#record(job, inference, false))) await inference.cancel()
      const leave = job.isAsync ? () => {} : await inference.enter()
      void this.#sendFirst(job, first).finally(leave)
      return inference
    } catch (error) {
      await begun?.cancel()
      await this.#leave(job)
      await calls.refuse(process, call, error)
      return undefined
    }
  }

  /**
   * Answers the asker. While Redis is away or full, it is tried again and again.
   */
  async #sendFirst(job: QueryJob, first: Promise<SentAnswer>): Promise<void> {
    const { process, call } = job.asker
    const { calls, log } = this.#options
    const send = await first.then(
      (output) => async () => {
        await calls.answer(process, call, job.isAsync ? NOTHING : outputPayload(output))
        await this.#dropFrame(job)
      },
      (error) => () => calls.refuse(process, call, error),
    )
    for (let tries = 1; ; tries++) {
      try {
        return await send()
      } catch (err) {
        if (tries === MOST_SENDS) {
          return log.warn({ err, inference: job.id }, 'The first output cannot be sent')
        }
        await sleep(SEND_MILLISECONDS, undefined, { ref: false })
      }
    }
  }

  /** An inference does not begin again once its first output is there. */
  async #dropFrame(job: QueryJob): Promise<void> {
    const { records, frames, log } = this.#options
    try {
      // Another process may have it meanwhile, which needs the frame.
      if (await records.isHeld(job.inference, this.#holderOf(job))) await frames.remove(job.inference)
    } catch (err) {
      log.warn({ err, inference: job.id }, 'An image stays in Redis until its inference ends')
    }
  }

  /**
   * A client whose connection ended with its HTTP process cannot go on with the inference. A process that
   * lives all the same, as after a restart of Redis, gets the error.
   */
  async #requireAsker({ asker, isAsync, id }: QueryJob): Promise<void> {
    if (isAsync || (await this.#options.peers.isAlive(asker.process))) return
    this.#options.log.info({ inference: id }, 'An inference is left, because its HTTP process has ended')
    throw new PolyVeilError('WORKER_LOST', 'The HTTP process that waits for the inference was not seen')
  }

  /** @returns also the key set on this machine, which an inference that begins lets go */
  async #queryOf(job: QueryJob): Promise<{ readonly query: NewQuery; readonly located: KeptLocation }> {
    const { frames, modelOf, keysOf, log } = this.#options
    const { id, ip, caller, trace } = job.request
    const frame = await frames.get(job.inference)
    if (frame === undefined) throw new PolyVeilError('WORKER_LOST', 'The query is not kept any more')
    const model = await modelOf(job.model.digest)
    // Bytes that are brought to this machine first take time, in which the place is taken.
    const keys = keysOf(job.keySet)
    const located = await keys.locate()
    const query: NewQuery = {
      request: {
        audited: { id, ip, caller },
        log: log.child({ reqId: id }),
        context: propagation.extract(ROOT_CONTEXT, trace, GETTER),
      },
      model,
      keys: { ...keys, locate: async () => located },
      frame,
      id: job.id,
      isAsync: job.isAsync,
      taken: job.taken,
    }
    return { query, located }
  }

  /** Waits until the inference ends. Its outputs can be fetched for a while. */
  async #follow(job: QueryJob, inference: HostedInference, { onMoment }: JobEvents): Promise<void> {
    let moment = await inference.moment()
    while (moment.running) {
      moment = await inference.moment(moment.version)
      onMoment()
    }
    const milliseconds = job.isAsync ? this.#options.limits.answer : MEMORY_MILLISECONDS
    setTimeout(() => {
      if (this.#held.get(job.inference) === inference) this.#held.delete(job.inference)
    }, milliseconds).unref()
    // Another process may have it meanwhile, which needs the frame.
    const isOurs = await this.#record(job, inference, true, milliseconds)
    if (isOurs) await this.#options.frames.remove(job.inference)
  }

  async #record(
    job: QueryJob,
    inference: HostedInference,
    ended: boolean,
    milliseconds?: number,
  ): Promise<boolean> {
    const { records } = this.#options
    const { rounds } = (await inference.moment()).snapshot
    const holder = this.#holderOf(job)
    const place = { kind: 'worker', ...holder, ended } as const
    const record = { id: job.id, model: job.model.name, rounds, begun: Date.now(), place }
    return records.update(job.inference, holder, record, milliseconds)
  }

  /** Ends an inference that has not begun, unless another process has it meanwhile. */
  async #leave(job: QueryJob): Promise<void> {
    const { records, frames } = this.#options
    if (!(await records.release(job.inference, this.#holderOf(job)))) return
    await this.#giveBack(job)
    await frames.remove(job.inference)
  }

  /** What the query took from its tenant's budget, when no inference has begun that would give it back. */
  async #giveBack(job: QueryJob): Promise<void> {
    const { budget, audit, log } = this.#options
    await giveBackJob({ budget, audit }, job).catch((err) =>
      log.error({ err, inference: job.id }, 'Images could not be given back to a tenant'),
    )
  }
}

/** The client of an asynchronous inference fetches its first output by a request of its own. */
const NOTHING = { data: { jsonBytes: 0 } }

const GETTER: TextMapGetter<Record<string, string>> = {
  keys: (carrier) => Object.keys(carrier),
  get: (carrier, key) => carrier[key],
}
