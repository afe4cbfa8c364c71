import { setTimeout as sleep } from 'node:timers/promises'
import type { TextMapGetter } from '@opentelemetry/api'
import { propagation, ROOT_CONTEXT } from '@opentelemetry/api'
import type { Logger } from 'pino'
import { PolyVeilError } from '../../../errors/index.ts'
import type { Audit } from '../../access/audit.ts'
import type { ImageBudget } from '../../access/image-budget.ts'
import type { ServedModel } from '../../catalogue.ts'
import type { EngineLoad } from '../../inference/engine.ts'
import type { HostedInference, InferenceHost, NewQuery, QueryKeySet } from '../../inference/host.ts'
import type { InferenceLimits } from '../../inference/inference.ts'
import type { Intake } from '../../inference/intake.ts'
import type { SentAnswer } from '../../inference/reply-cache.ts'
import type { Calls } from '../exchange/calls.ts'
import type { Peers } from '../exchange/peers.ts'
import { TAKEN } from '../exchange/protocol.ts'
import type { Frames } from '../queue/frames.ts'
import { giveBackJob } from '../queue/give-back.ts'
import type { InferenceRecords, JobHolder } from '../queue/inference-records.ts'
import { type JobQueue, jobId, type TakenJob, UnreadableJob } from '../queue/job-queue.ts'
import type { QueryJob } from '../queue/query-job.ts'
import type { WaitingList } from '../queue/waiting-list.ts'
import { outputPayload } from './worker-calls.ts'

export interface JobTakerOptions {
  readonly calls: Calls
  readonly peers: Pick<Peers, 'isAlive'>
  readonly queue: JobQueue
  readonly waiting: WaitingList
  readonly records: InferenceRecords
  readonly frames: Frames
  readonly host: InferenceHost
  /** What the engine of this process has to do. */
  readonly load: () => EngineLoad
  /** Inferences that the engine computes for at once. */
  readonly places: number
  /** The circuit whose file has this digest. @throws MODEL_UNAVAILABLE */
  readonly modelOf: (digest: string) => Promise<ServedModel>
  readonly keysOf: (name: string) => QueryKeySet
  readonly budget: ImageBudget
  readonly audit: Audit
  readonly limits: Pick<InferenceLimits, 'answer'>
  /** Looks for work elsewhere, when there are places and nothing in the queue. @returns what it found */
  readonly findWork: () => Promise<number>
  /** Called when an inference has begun or ended. */
  readonly onChange: () => void
  readonly log: Logger
}

/** Between two looks for jobs, where nobody has told of one. */
const LOOK_MILLISECONDS = 250
/** Between two looks whether jobs that were taken have begun. */
const SETTLE_MILLISECONDS = 20
/** Between two tries to send a first output, and their number. */
const SEND_MILLISECONDS = 1000
const MOST_SENDS = 60
/** Inferences that ended are kept for this long, or for the time that an answer is kept. */
const MEMORY_MILLISECONDS = 60_000

/**
 * Takes inferences from the queue of a cluster, whenever the engine of this process has a place, and holds
 * them to their end.
 */
export class JobTaker {
  readonly #options: JobTakerOptions
  readonly #held = new Map<string, HostedInference>()
  /** Jobs that are taken, and have not come to the engine. */
  #starting = 0
  #intake: Pick<Intake, 'isOpen'> | undefined
  #looking = false
  /** Whether a job may have come since the last look began. */
  #isWoken = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: JobTakerOptions) {
    this.#options = options
  }

  /** Whether jobs are taken. */
  get isOpen(): boolean {
    return this.#intake?.isOpen ?? false
  }

  /** Inferences that could begin at once. */
  get freePlaces(): number {
    const { computing, waiting } = this.#options.load()
    return Math.max(0, this.#options.places - computing - waiting - this.#starting)
  }

  /** The inference of a name in the cluster. */
  find(name: string): HostedInference | undefined {
    return this.#held.get(name)
  }

  /** Takes jobs while the intake is open. */
  open(intake: Pick<Intake, 'isOpen'>): void {
    this.#intake = intake
    this.#timer ??= setInterval(() => this.wake(), LOOK_MILLISECONDS).unref()
    this.wake()
  }

  /** Takes no more jobs, and waits until those that are taken have begun. */
  async close(): Promise<void> {
    this.#intake = undefined
    clearInterval(this.#timer)
    this.#timer = undefined
    while (this.#starting > 0) await sleep(SETTLE_MILLISECONDS)
  }

  /** Looks for jobs at once. */
  readonly wake = (): void => {
    this.#isWoken = true
    if (this.#looking) return
    this.#looking = true
    this.#takeAll()
      .catch((err) => this.#options.log.warn({ err }, 'The queue cannot be read'))
      .finally(() => {
        this.#looking = false
      })
  }

  async #takeAll(): Promise<void> {
    const { queue, calls } = this.#options
    while (this.isOpen && this.#isWoken && this.freePlaces > 0) {
      this.#isWoken = false
      const taken = await queue.take(calls.self).catch((error) => this.#refuseUnreadable(error))
      if (taken === undefined) {
        this.#isWoken ||= (await this.#options.findWork()) > 0
        continue
      }
      this.#isWoken = true
      this.#starting++
      void this.#run(taken).finally(() => {
        this.#options.onChange()
        this.wake()
      })
    }
  }

  /** Tells the asker of a job that this version cannot read. @throws other errors */
  async #refuseUnreadable(error: unknown): Promise<undefined> {
    if (!(error instanceof UnreadableJob)) throw error
    const { calls, log } = this.#options
    log.error({ err: error }, 'A job cannot be read')
    this.#isWoken = true
    if (error.asker) await calls.refuse(error.asker.process, error.asker.call, error)
    return undefined
  }

  async #run({ job, done }: TakenJob): Promise<void> {
    const { log } = this.#options
    let isStarting = true
    const started = (): void => {
      if (isStarting) this.#starting--
      isStarting = false
    }
    try {
      if (!(await this.#claim(job))) return
      const inference = await this.#begin(job, started)
      if (inference) await this.#follow(job, inference)
    } catch (err) {
      log.error({ err, inference: job.id }, 'A job of the queue cannot be followed')
    } finally {
      started()
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
  async #begin(job: QueryJob, started: () => void): Promise<HostedInference | undefined> {
    const { calls, host } = this.#options
    const { process, call } = job.asker
    let begun: HostedInference | undefined
    try {
      await this.#requireAsker(job)
      const { inference, first } = await host.begin(await this.#queryOf(job))
      begun = inference
      // What ends it is for those who ask for it.
      first.catch(() => {})
      started()
      this.#options.onChange()
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

  /** Answers the asker. While Redis is away or full, it is tried again and again. */
  async #sendFirst(
    { id, isAsync, asker: { process, call } }: QueryJob,
    first: Promise<SentAnswer>,
  ): Promise<void> {
    const { calls, log } = this.#options
    const send = await first.then(
      (output) => () => calls.answer(process, call, isAsync ? NOTHING : outputPayload(output)),
      (error) => () => calls.refuse(process, call, error),
    )
    for (let tries = 1; ; tries++) {
      try {
        return await send()
      } catch (err) {
        if (tries === MOST_SENDS) return log.warn({ err, inference: id }, 'The first output cannot be sent')
        await sleep(SEND_MILLISECONDS, undefined, { ref: false })
      }
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

  async #queryOf(job: QueryJob): Promise<NewQuery> {
    const { frames, modelOf, keysOf, log } = this.#options
    const { id, ip, caller, trace } = job.request
    const frame = await frames.get(job.inference)
    if (frame === undefined) throw new PolyVeilError('WORKER_LOST', 'The query is not kept any more')
    const model = await modelOf(job.model.digest)
    // Bytes that are brought to this machine first take time, in which the place is taken.
    const keys = keysOf(job.keySet)
    const located = await keys.locate()
    return {
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
  }

  /** Waits until the inference ends. Its outputs can be fetched for a while. */
  async #follow(job: QueryJob, inference: HostedInference): Promise<void> {
    let moment = await inference.moment()
    while (moment.running) {
      moment = await inference.moment(moment.version)
      // A place is free when it ends, or waits for its client.
      this.wake()
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
