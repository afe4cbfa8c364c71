import type { WorkerFacts } from '../exchange/peers.ts'
import type { Waiting } from './waiting-list.ts'

/**
 * Seconds that an inference rather waits for the worker that has its keys loaded than to have them loaded by
 * another: about what it takes to load a key set.
 */
export const WORTH_SECONDS = 2

/**
 * The worker process in whose own queue an inference waits, because it has the keys loaded and is free soon.
 *
 * @param holder the worker that has last loaded the keys
 * @returns undefined for the queue of all
 */
export function placeFor(
  holder: string | undefined,
  workers: readonly WorkerFacts[],
  waiting: readonly Waiting[],
): string | undefined {
  const facts = workers.find(({ name }) => name === holder)
  if (!facts?.accepts) return undefined
  const queued = waiting
    .filter(({ worker }) => worker === holder)
    .reduce((sum, { seconds }) => sum + seconds, 0)
  return facts.waitSeconds + queued <= WORTH_SECONDS || facts.freePlaces > 0 ? facts.name : undefined
}

/** BullMQ takes priorities from 1 on, the smallest first, up to this one. */
const LAST_PRIORITY = 2 ** 21
/**
 * Priorities in a second: the smallest networks take a few tenths. They last for 58 hours of a full queue.
 */
const IN_A_SECOND = 10

/**
 * The priority of an inference: when it would begin if its owner had one worker alone, in tenths of seconds.
 * So each owner's turn comes however many inferences another has queued, and none waits for ever (a virtual
 * clock as in L. Zhang, "VirtualClock", SIGCOMM 1990, that starts anew when nothing waits).
 *
 * @param second since the queue was empty
 */
export function priorityOf(owner: string, waiting: readonly Waiting[], second: number): number {
  const before = waiting.filter((each) => each.owner === owner).reduce((sum, { seconds }) => sum + seconds, 0)
  return Math.min(LAST_PRIORITY, Math.max(1, 1 + Math.round(IN_A_SECOND * (second + before))))
}
