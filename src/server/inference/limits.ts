import { REQUEST_MILLISECONDS } from '../request-time.ts'
import type { Timeouts } from './idle-timer.ts'
import type { InferenceLimits } from './inference.ts'

export interface InferenceTimes {
  /** The server ends an inference whose client is silent in a refresh round for this long; default 60. */
  readonly roundTimeoutSeconds?: number
  /** The server ends an inference so long after its query; default 60. */
  readonly maxInferenceMinutes?: number
  /** The server keeps the answer of an asynchronous inference for so long; default 10. */
  readonly answerMinutes?: number
}

/** The limits of inferences by the settings of a service. */
export const inferenceLimits = ({
  roundTimeoutSeconds = 60,
  maxInferenceMinutes = 60,
  answerMinutes = 10,
}: InferenceTimes = {}): InferenceLimits => ({
  client: timeouts(roundTimeoutSeconds * 1000),
  total: maxInferenceMinutes * 60_000,
  answer: answerMinutes * 60_000,
})

/** A client may fetch a tensor and send its reply twice, and pause in between. */
const STALLED_ATTEMPTS = 2

/** While a request of the client is open, the timeout is at least the time that one request may take. */
function timeouts(absent: number): Timeouts {
  const present = Math.max(absent, REQUEST_MILLISECONDS)
  return { absent, present, stalled: STALLED_ATTEMPTS * (absent + 2 * present) }
}
