import { PolyVeilError } from '../../../errors/index.ts'
import { type BudgetServices, giveBackImages, type QueryFacts } from '../../execution/take-images.ts'
import type { SentAnswer } from '../../inference/reply-cache.ts'
import type { Calls } from '../exchange/calls.ts'
import type { Peers } from '../exchange/peers.ts'
import { outputSchema, TAKEN, takenSchema } from '../exchange/protocol.ts'
import { type InferenceRecord, type InferenceRecords, waitingRecord } from '../queue/inference-records.ts'
import { jobId } from '../queue/job-queue.ts'
import type { QueryJob } from '../queue/query-job.ts'
import type { QueryQueue } from './query-queue.ts'

export interface AskedInferencesServices extends BudgetServices {
  readonly calls: Calls
  readonly peers: Peers
  readonly records: InferenceRecords
  /** Ends an inference that is not waited for any more, wherever it is. */
  readonly stop: (inference: string, record: InferenceRecord, reason: string) => Promise<void>
}

/** An inference begins again on another worker so many times, when the one that had it ends. */
const MOST_RESTARTS = 1
/** Between two looks whether a job is still there. */
const LOOK_MILLISECONDS = 5000
/** An answer may come so long after its inference has ended: while Redis is full, workers try again. */
const MOST_ANSWER_MILLISECONDS = 70_000

/** An inference whose first output this process waits for. */
interface Asked {
  readonly query: QueryFacts
  job: QueryJob
  /** The worker that has it, or in whose own queue it waits. */
  worker?: string
  isTaken: boolean
  /** When its job was last in the queue, by `performance.now()`; absent while it is brought there. */
  seen?: number
}

/**
 * The inferences whose first output this process waits for. It has them begin again when their worker ends or
 * their job is lost. No output has reached their clients, so these need not know.
 */
export class AskedInferences {
  readonly #services: AskedInferencesServices
  readonly #queue: QueryQueue
  /** By the id of the call that the first output answers. */
  readonly #asked = new Map<string, Asked>()
  /** Those whose answer is lost with the connection to Redis, until it is there again. */
  readonly #left = new Set<Asked>()

  constructor(services: AskedInferencesServices, queue: QueryQueue) {
    this.#services = services
    this.#queue = queue
    const { calls, peers } = services
    calls.handle(TAKEN, async ({ data }, from) => {
      this.#taken(takenSchema.parse(data).call, from)
      return {}
    })
    peers.onLost((worker) => this.#lost(worker))
    peers.watch(() => this.#awaited)
    peers.onBeat(() => {
      this.#lookForJobs()
      for (const asked of this.#left) void this.#leave(asked)
    })
  }

  /** The jobs of all. */
  get jobs(): QueryJob[] {
    return [...this.#asked.values()].map(({ job }) => job)
  }

  /**
   * Queues an inference, and waits for its first output.
   *
   * @param job its asker is a call of this process, whose answer is `answer`
   * @returns the first output, once the inference is queued
   * @throws TOO_BUSY when it cannot be queued
   */
  async add(
    job: QueryJob,
    query: QueryFacts,
    frame: Uint8Array,
    answer: ReturnType<Calls['expect']>['answer'],
  ): Promise<{ readonly first: Promise<SentAnswer> }> {
    const asked: Asked = { query, job, isTaken: false }
    this.#asked.set(job.asker.call, asked)
    try {
      await this.#enqueue(asked, frame)
    } catch (error) {
      this.#asked.delete(job.asker.call)
      await this.#queue.forget(asked.job, asked.worker)
      throw error
    }
    const first = answer.then(({ data, body }) => ({ ...outputSchema.parse(data), body }))
    return { first: this.#untilAnswered(asked, first) }
  }

  async #untilAnswered(asked: Asked, first: Promise<SentAnswer>): Promise<SentAnswer> {
    try {
      return await first
    } catch (error) {
      if (isAway(error) && !asked.job.isAsync) this.#left.add(asked)
      throw error
    } finally {
      this.#asked.delete(asked.job.asker.call)
    }
  }

  async #enqueue(asked: Asked, frame?: Uint8Array): Promise<void> {
    asked.worker = await this.#queue.add(asked.job, frame)
    asked.seen = performance.now()
  }

  /** Ends an inference whose client has got an error, so that none is computed for nobody. */
  async #leave(asked: Asked): Promise<void> {
    const { job, query } = asked
    const { records, stop } = this.#services
    this.#left.delete(asked)
    try {
      const record = await records.get(job.inference)
      // The client may have begun another of this id.
      if (record?.place.job === jobId(job)) await stop(job.inference, record, UNREACHABLE)
    } catch (err) {
      query.request.log.warn({ err, inference: job.id }, 'An inference that nobody waits for goes on')
    }
  }

  #taken(call: string, worker: string): void {
    const asked = this.#asked.get(call)
    if (asked) Object.assign(asked, { worker, isTaken: true })
    this.#services.calls.expectFrom(call, worker)
  }

  /** Has inferences that a worker had, or that waited for it, begin again, and fails other calls to it. */
  #lost(worker: string): void {
    const { calls } = this.#services
    for (const asked of [...this.#asked.values()]) {
      if (asked.worker === worker) void this.#beginAgain(asked, asked.isTaken)
      else if (!asked.isTaken) void this.#beginAgainIfTaken(asked, worker)
    }
    for (const call of calls.awaitedFrom(worker)) calls.giveUp(call, workerLost())
  }

  /** A worker may have ended when it had taken a job, and before it has told of that. */
  async #beginAgainIfTaken(asked: Asked, worker: string): Promise<void> {
    const { job } = asked
    // What Redis does not say now, a look for the job finds.
    const record = await this.#services.records.get(job.inference).catch(() => undefined)
    const isHere = record?.place.worker === worker && record.place.job === jobId(job)
    if (isHere && asked.job === job) await this.#beginAgain(asked, true)
  }

  /** @param hasBegun whether a worker had taken it */
  async #beginAgain(asked: Asked, hasBegun: boolean): Promise<void> {
    const { calls, records } = this.#services
    const { job, query } = asked
    const former = job.asker.call
    if (this.#asked.get(former) !== asked) return
    this.#asked.delete(former)
    // What a worker still says of the former job, when it has only stood still, is not listened to.
    const call = calls.renew(former)
    asked.job = { ...job, asker: { ...job.asker, call }, restarts: job.restarts + Number(hasBegun) }
    asked.isTaken = false
    asked.worker = undefined
    asked.seen = undefined
    this.#asked.set(call, asked)
    try {
      if (asked.job.restarts > MOST_RESTARTS) throw workerLost()
      query.request.log.warn({ inference: job.id }, 'An inference begins again, because its worker has ended')
      await records.replace(job.inference, waitingRecord(asked.job, query.model))
      await this.#enqueue(asked)
    } catch (error) {
      calls.giveUp(call, error)
      await this.#queue.forget(asked.job, asked.worker)
      await giveBackImages(this.#services, query, job.taken)
    }
  }

  /** Processes that inferences of this one depend on. */
  get #awaited(): string[] {
    const ofAsked = [...this.#asked.values()].flatMap(({ worker }) => worker ?? [])
    return [...this.#services.calls.awaited, ...ofAsked]
  }

  /** A job is lost when its worker ends as it takes it, or when Redis loses its data. */
  #lookForJobs(): void {
    const now = performance.now()
    for (const [call, asked] of this.#asked) {
      const { isTaken, seen = now } = asked
      if (now - seen < LOOK_MILLISECONDS) continue
      if (isTaken) void this.#lookForEnd(call, asked, now)
      else void this.#lookFor(asked, now)
    }
  }

  /** An inference may have ended, and its answer be lost with the data of Redis. */
  async #lookForEnd(call: string, asked: Asked, now: number): Promise<void> {
    const { job, seen = now } = asked
    const { records, calls } = this.#services
    const found = await records.get(job.inference).catch(() => 'unknown' as const)
    if (found === 'unknown' || asked.job !== job) return
    const isUnderWay = found?.place.kind === 'worker' && !found.place.ended
    if (isUnderWay) asked.seen = now
    else if (now - seen > MOST_ANSWER_MILLISECONDS) calls.giveUp(call, workerLost())
  }

  async #lookFor(asked: Asked, now: number): Promise<void> {
    const { job, worker, seen = now } = asked
    // While Redis does not say it, the next beat looks again.
    const isThere = await this.#queue.has(job, worker).catch(() => true)
    if (asked.job !== job || asked.isTaken || asked.seen !== seen) return
    if (isThere) asked.seen = now
    // A message that tells of it may be under way.
    else if (now - seen > 2 * LOOK_MILLISECONDS) await this.#beginAgain(asked, true)
  }
}

const UNREACHABLE = 'The inference was ended, because its HTTP process lost the connection to Redis'

const isAway = (error: unknown): boolean => error instanceof PolyVeilError && error.code === 'TOO_BUSY'

const workerLost = (): PolyVeilError =>
  new PolyVeilError('WORKER_LOST', 'The worker process that had the inference has ended')
