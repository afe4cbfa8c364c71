import type { Job, Queue, Worker } from 'bullmq'
import { PolyVeilError } from '../../../errors/index.ts'
import { loadPackage, type RedisLog, type SharedRedis } from '../exchange/redis.ts'
import { type Asker, askerOf, type QueryJob, queryJobSchema } from './query-job.ts'

/** BullMQ keeps its own names below this part of the prefix. */
const QUEUES = 'queues'
const SHARED = 'inferences'
/** A worker that does not renew its claim on a job for so long has ended. */
const LOCK_MILLISECONDS = 30_000
const RENEW_MILLISECONDS = 10_000

/** Parts of a queue that its removal leaves. */
const REMAINS = ['meta', 'id', 'marker', 'events', 'stalled-check', 'pc'] as const

type BullMq = typeof import('bullmq')

/** The queue of a worker process; that of all for undefined. */
const queueName = (worker: string | undefined): string =>
  worker === undefined ? SHARED : `${SHARED}-${worker}`

/** A job in the queue was written by another version of the program. */
export class UnreadableJob extends PolyVeilError {
  /** Who waits for its first output, if that can be read. */
  readonly asker: Asker | undefined

  constructor(asker: Asker | undefined) {
    super('WORKER_LOST', 'The worker processes run another version of the service than the HTTP process')
    this.asker = asker
  }
}

/** A job that a worker has taken. */
export interface TakenJob {
  readonly job: QueryJob
  /** Ends the job. */
  done(): Promise<void>
}

/**
 * Inferences that wait, as jobs of BullMQ: one queue that all workers take from, and one for each worker, for
 * inferences whose keys it has loaded.
 */
export class JobQueue {
  readonly #bull: BullMq
  readonly #redis: SharedRedis
  readonly #log: RedisLog
  readonly #queues = new Map<string, Queue>()
  readonly #workers: Worker[] = []
  readonly #taken = new Map<string, { readonly job: Job; readonly token: string }>()
  #renewal: NodeJS.Timeout | undefined
  #tokens = 0

  private constructor(bull: BullMq, redis: SharedRedis, log: RedisLog) {
    this.#bull = bull
    this.#redis = redis
    this.#log = log
  }

  /** @throws CONFIG_INVALID when the package bullmq is not installed */
  static async open(redis: SharedRedis, log: RedisLog): Promise<JobQueue> {
    return new JobQueue(await loadPackage('bullmq', () => import('bullmq')), redis, log)
  }

  /**
   * Adds a job. @param worker in whose own queue @param priority as `priorityOf` has it
   *
   * @throws TOO_BUSY (503) when Redis is away
   */
  async add(job: QueryJob, priority: number, worker?: string): Promise<void> {
    const options = { jobId: jobId(job), priority, removeOnComplete: true, removeOnFail: true }
    await this.#redis.run(() => this.#queue(worker).add('infer', job, options))
  }

  /** Removes a job that no worker has taken. @returns it, if it was there */
  async remove(id: string, worker?: string): Promise<QueryJob | undefined> {
    return this.#redis.run(async () => {
      const queue = this.#queue(worker)
      const found = await queue.getJob(id)
      if (!found || (await queue.remove(id)) !== 1) return undefined
      return queryJobSchema.parse(found.data)
    })
  }

  /** Whether a job waits or is worked at. */
  async has(id: string, worker?: string): Promise<boolean> {
    const queues = worker === undefined ? [undefined] : [worker, undefined]
    const found = await this.#redis.run(() => Promise.all(queues.map((each) => this.#queue(each).getJob(id))))
    return found.some((job) => job !== undefined)
  }

  /**
   * Takes the next job, in turns first from the worker's own queue and from that of all: neither waits for
   * the other to be empty.
   *
   * @param worker this process
   */
  async take(worker: string): Promise<TakenJob | undefined> {
    if (this.#workers.length === 0) this.#begin(worker)
    for (const [index, source] of this.#workers.entries()) {
      const token = `${worker}:${this.#tokens++}`
      const job = await this.#redis.run(() => source.getNextJob(token, { block: false }))
      if (!job) continue
      if (index === 0) this.#workers.reverse()
      return this.#claimed(job, token)
    }
    return undefined
  }

  /**
   * Moves what waits for a worker that ends to the queue of all, and removes its own queue. @returns the jobs
   */
  async inherit(worker: string): Promise<QueryJob[]> {
    return this.#redis.run(async () => {
      const queue = this.#queue(worker)
      const jobs: QueryJob[] = []
      for (const { data, opts } of await queue.getJobs(['prioritized', 'waiting'])) {
        const { data: job } = queryJobSchema.safeParse(data)
        if (job === undefined) continue
        await this.add(job, opts.priority ?? 1)
        jobs.push(job)
      }
      await queue.obliterate({ force: true })
      // BullMQ leaves these.
      await this.#redis.commands.del(REMAINS.map((part) => queue.toKey(part)))
      await this.forget(worker)
      return jobs
    })
  }

  /** Frees what this process holds to reach the queue of a worker that has ended. */
  async forget(worker: string): Promise<void> {
    const name = queueName(worker)
    const queue = this.#queues.get(name)
    this.#queues.delete(name)
    await queue?.close().catch(() => {})
  }

  /** Takes no more jobs. */
  async stop(): Promise<void> {
    clearInterval(this.#renewal)
    await Promise.allSettled(this.#workers.map((each) => each.close()))
  }

  async close(): Promise<void> {
    await this.stop()
    await Promise.allSettled([...this.#queues.values()].map((each) => each.close()))
  }

  #begin(worker: string): void {
    for (const name of [queueName(worker), SHARED]) {
      const source = new this.#bull.Worker(name, null, {
        ...this.#options,
        connection: this.#redis.connect(),
        autorun: false,
        lockDuration: LOCK_MILLISECONDS,
        // Processes that wait for an inference restart it themselves.
        maxStalledCount: 0,
      })
      source.on('error', (err) => this.#log.warn({ err }, 'The queue has a fault'))
      void source.startStalledCheckTimer()
      this.#workers.push(source)
    }
    this.#renewal = setInterval(() => void this.#renew(), RENEW_MILLISECONDS).unref()
  }

  #claimed(job: Job, token: string): TakenJob {
    const id = job.id ?? ''
    this.#taken.set(id, { job, token })
    const parsed = queryJobSchema.safeParse(job.data)
    const done = async (): Promise<void> => {
      this.#taken.delete(id)
      // A claim that was lost, as after a restart of Redis, leaves nothing to end.
      await job.moveToCompleted(null, token, false).catch(() => {})
    }
    if (parsed.success) return { job: parsed.data, done }
    void done()
    throw new UnreadableJob(askerOf(job.data))
  }

  async #renew(): Promise<void> {
    for (const { job, token } of this.#taken.values()) {
      await job.extendLock(token, LOCK_MILLISECONDS).catch(() => {})
    }
  }

  #queue(worker: string | undefined): Queue {
    const name = queueName(worker)
    const known = this.#queues.get(name)
    if (known) return known
    const queue = new this.#bull.Queue(name, {
      ...this.#options,
      connection: this.#redis.commands,
      // Nothing of the queue of a worker that has ended is to stay.
      skipMetasUpdate: true,
    })
    queue.on('error', (err) => this.#log.warn({ err }, 'The queue has a fault'))
    this.#queues.set(name, queue)
    return queue
  }

  get #options(): { prefix: string } {
    return { prefix: this.#redis.name(QUEUES) }
  }
}

/** The id of a job. An inference that begins again is another job. A second one of the same id is ignored. */
export const jobId = ({ asker, restarts }: Pick<QueryJob, 'asker' | 'restarts'>): string =>
  `${asker.call}-${restarts}`
