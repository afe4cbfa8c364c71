import type { SharedRedis } from '../exchange/redis.ts'
import type { JobQueue } from './job-queue.ts'
import { WORTH_SECONDS } from './placement.ts'
import type { WaitingList } from './waiting-list.ts'

export interface OverdueServices {
  readonly redis: SharedRedis
  readonly queue: JobQueue
  readonly waiting: WaitingList
}

/** Gives what waits for a worker that ends, in its own queue, to all workers. */
export async function handOver({ queue, waiting }: OverdueServices, worker: string): Promise<void> {
  for (const { inference } of await queue.inherit(worker)) {
    const entry = await waiting.get(inference)
    if (entry) await waiting.add(inference, { ...entry, worker: undefined })
  }
}

const CLAIM_MILLISECONDS = 60_000

/**
 * Moves inferences that have waited longer for the worker with their keys than that is worth to the queue of
 * all, for a worker that has nothing to do.
 *
 * @param self the worker that has nothing to do
 * @returns how many
 */
export async function moveOverdue({ redis, queue, waiting }: OverdueServices, self: string): Promise<number> {
  const now = Date.now()
  let moved = 0
  for (const [name, entry] of await waiting.entries()) {
    const { worker, job, priority, since } = entry
    if (worker === undefined || worker === self || now - since < 1000 * WORTH_SECONDS) continue
    // Other workers may be at the same, and the inference must not run twice.
    const claim = redis.name('moved', job)
    const isOurs = await redis.run((commands) => commands.set(claim, self, 'PX', CLAIM_MILLISECONDS, 'NX'))
    const found = isOurs && (await queue.remove(job, worker))
    if (!found) continue
    await waiting.add(name, { ...entry, worker: undefined })
    await queue.add(found, priority)
    moved++
  }
  return moved
}
