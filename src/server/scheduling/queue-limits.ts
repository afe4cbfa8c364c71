import type { PolyVeilError } from '../../errors/index.ts'
import { HttpError } from '../problems/http-error.ts'

export interface QueueLimits {
  /** Inferences that wait for their turn. One owner may have half of them, one key set a quarter. */
  readonly queue: number
  /** An inference that would wait longer by estimate is refused. */
  readonly queueSeconds: number
}

/** An inference that waits. */
export interface QueuedRequest {
  readonly owner: string
  /** Name of its key set; absent while its query has not arrived. */
  readonly keySet?: string
}

const MOST_RETRY_SECONDS = 120

/**
 * The error for an inference that may not wait; undefined when it may.
 *
 * @param waiting the others that wait
 * @param waitSeconds that it would wait, by estimate
 */
export function refusalOf(
  { owner, keySet }: QueuedRequest,
  waiting: readonly QueuedRequest[],
  waitSeconds: number,
  { queue, queueSeconds }: QueueLimits,
): PolyVeilError | undefined {
  const facts = { waiting: waiting.length, retryAfter: retryAfter(waitSeconds) }
  const ofKeySet = keySet && waiting.filter((other) => other.keySet === keySet).length
  const ofOwner = waiting.filter((other) => other.owner === owner).length
  if (waiting.length >= queue) return busy(503, `${queue} inferences are waiting already`, facts)
  if (ofKeySet && ofKeySet >= Math.ceil(queue / 4)) {
    return busy(429, `${ofKeySet} inferences of this key set are waiting already`, facts)
  }
  if (ofOwner >= Math.ceil(queue / 2)) {
    return busy(429, `${ofOwner} inferences of this client are waiting already`, facts)
  }
  if (waitSeconds <= queueSeconds) return undefined
  return busy(503, `An inference would wait about ${Math.round(waitSeconds)} seconds for its turn now`, facts)
}

const busy = (status: number, message: string, facts: Readonly<Record<string, number>>): PolyVeilError =>
  new HttpError(status, 'TOO_BUSY', message, facts)

/** Seconds until about half of what waits now is done. */
const retryAfter = (waitSeconds: number): number =>
  Math.min(MOST_RETRY_SECONDS, Math.max(1, Math.ceil(waitSeconds / 2)))
