import type { Cluster } from '../cluster.ts'
import { able, isFull, placesOf, requireAble } from '../queue/fleet.ts'
import { jobId } from '../queue/job-queue.ts'
import { placeFor, priorityOf } from '../queue/placement.ts'
import type { QueryJob } from '../queue/query-job.ts'
import type { QueueClock } from '../queue/queue-clock.ts'

export interface QueryQueueServices extends Omit<Cluster, 'redis' | 'close'> {
  readonly clock: QueueClock
}

/** Workers that are told of a job that any of them may take. */
const MOST_WOKEN = 2

/** Puts queries where worker processes take them. */
export class QueryQueue {
  readonly #services: QueryQueueServices

  constructor(services: QueryQueueServices) {
    this.#services = services
  }

  /**
   * Puts a job where a worker takes it.
   *
   * @param frame the encrypted image, where it is not kept in Redis already
   * @returns the worker in whose own queue it waits; undefined for the queue of all
   * @throws TOO_BUSY when too many wait, or Redis is away
   */
  async add(job: QueryJob, frame?: Uint8Array): Promise<string | undefined> {
    const { frames, waiting, queue, peers, holders, clock } = this.#services
    const workers = await requireAble(peers)
    const { network: owner } = job.request.caller
    const before = await waiting.all()
    if (isFull(workers) || before.length > 0) {
      waiting.requireRoom({ owner, keySet: job.keySet }, before, placesOf(workers))
    }
    const worker = placeFor(await holders.of(job.keySet), workers, before)
    const priority = priorityOf(owner, before, await clock.second(before.length === 0))
    if (frame) await frames.put(job.inference, frame)
    await waiting.add(job.inference, {
      owner,
      keySet: job.keySet,
      seconds: job.seconds,
      job: jobId(job),
      priority,
      since: Date.now(),
      worker,
    })
    await queue.add(job, priority, worker)
    await this.#wake(worker)
    return worker
  }

  /** Whether a job waits or is worked at. @param worker that has taken it, or in whose own queue it is */
  has(job: QueryJob, worker: string | undefined): Promise<boolean> {
    return this.#services.queue.has(jobId(job), worker)
  }

  /** Takes a job out that no worker has taken. @returns it, if it was there */
  async withdraw(inference: string, id: string): Promise<QueryJob | undefined> {
    const { queue, waiting, records, frames } = this.#services
    const worker = (await waiting.get(inference))?.worker
    const job = (await queue.remove(id, worker)) ?? (await queue.remove(id))
    if (job === undefined) return undefined
    // A job that was done between the two steps of its removal seems to have been removed.
    if ((await records.get(inference))?.place.kind !== 'waiting') return undefined
    await Promise.all([waiting.remove(inference), records.remove(inference), frames.remove(inference)])
    return job
  }

  /**
   * Removes what is in Redis of an inference that does not begin. What is left there ends by its time.
   *
   * @param worker in whose own queue its job is
   */
  async forget(job: QueryJob, worker: string | undefined): Promise<void> {
    const { queue, waiting, records, frames } = this.#services
    await Promise.allSettled([
      queue.remove(jobId(job), worker),
      waiting.remove(job.inference),
      records.remove(job.inference),
      frames.remove(job.inference),
    ])
  }

  /** Tells a worker of a job. By default it is told to some that have a place; others look by themselves. */
  async #wake(worker: string | undefined): Promise<void> {
    const { calls, peers } = this.#services
    const free = able(peers.workers).filter(({ freePlaces }) => freePlaces > 0)
    const first = Math.floor(Math.random() * free.length)
    const some = [...free.slice(first), ...free.slice(0, first)].slice(0, MOST_WOKEN).map(({ name }) => name)
    for (const name of worker === undefined ? some : [worker]) await calls.tell(name, 'wake', { data: null })
  }
}
