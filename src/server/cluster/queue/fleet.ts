import { PolyVeilError } from '../../../errors/index.ts'
import type { Peers, WorkerFacts } from '../exchange/peers.ts'

/** Worker processes that take inferences. */
export const able = (workers: readonly WorkerFacts[]): WorkerFacts[] =>
  workers.filter(({ accepts }) => accepts)

/** Inferences that all of them compute for at once. */
export const placesOf = (workers: readonly WorkerFacts[]): number =>
  able(workers).reduce((sum, { computing, freePlaces }) => sum + computing + freePlaces, 0)

/** Whether an inference that comes now has to wait. */
export const isFull = (workers: readonly WorkerFacts[]): boolean =>
  able(workers).every(({ freePlaces }) => freePlaces === 0)

const RETRY_SECONDS = 10

/**
 * Worker processes that take work. One that has just begun is found, too.
 *
 * @throws TOO_BUSY (503) when there is none
 */
export async function requireAble(peers: Peers): Promise<WorkerFacts[]> {
  if (able(peers.workers).length === 0) await peers.beat()
  const workers = able(peers.workers)
  if (workers.length > 0) return workers
  throw new PolyVeilError('TOO_BUSY', 'No worker process takes work now', { retryAfter: RETRY_SECONDS })
}
