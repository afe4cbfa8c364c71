import { PolyVeilError } from '../errors/index.ts'
import type { Rule } from './begin-again.ts'
import { type CallOptions, reportRestart } from './progress.ts'
import { ForeignAnswer } from './transport/foreign-answer.ts'
import { NetworkError, type NetworkReason } from './transport/network-error.ts'
import { MAX_RETRY_SECONDS } from './transport/retry.ts'

/** How often an inference begins again. */
export const MAX_RESTARTS = 2
/** Wait before the first restart, where the server names no time. The second wait is four times as long. */
const RESTART_SECONDS = 2

const CODES: readonly string[] = ['INFERENCE_UNKNOWN', 'WORKER_LOST']
/** A proxy answers so while the server behind it restarts. */
const BAD_GATEWAY = 502
/** Failures of the network that stay until somebody changes a setting. */
const LASTING: readonly NetworkReason[] = ['certificate', 'tls', 'no-http', 'port']

/** The server or the network has lost an inference, and another one of the same images may succeed. */
export class LostInference extends PolyVeilError {
  constructor(error: PolyVeilError) {
    super(error.code, error.message, error.facts, { cause: error, remedy: error.remedy })
  }
}

/** Whether an error of an inference's requests says that the inference is lost. */
export function isLost(error: unknown): error is PolyVeilError {
  if (error instanceof NetworkError) return !LASTING.includes(error.reason)
  if (error instanceof ForeignAnswer && error.status === BAD_GATEWAY) return true
  return error instanceof PolyVeilError && CODES.includes(error.code)
}

/**
 * The rule that a lost inference begins again, with a query that is encrypted anew.
 *
 * @param wait resolves after seconds; rejects when the caller aborts
 * @param bytesTotal of the query
 */
export const restartingLost = (
  options: CallOptions,
  bytesTotal: number,
  wait: (seconds: number) => Promise<void>,
): Rule => ({
  covers: (error) => error instanceof LostInference,
  times: MAX_RESTARTS,
  prepare: async (error, restart) => {
    const secondsLeft = secondsBefore(error, restart)
    reportRestart(options, { reason: error.code, restart, restarts: MAX_RESTARTS, bytesTotal, secondsLeft })
    await wait(secondsLeft)
  },
  givenUp: (error) => {
    const tries = MAX_RESTARTS + 1
    return error.restated(`${error.message}; the inference was begun ${tries} times`, { tries })
  },
})

/** Seconds to wait before a lost inference begins again. @param restart 1 for the first one */
export function secondsBefore({ facts: { retryAfter } }: PolyVeilError, restart: number): number {
  const seconds =
    typeof retryAfter === 'number' && retryAfter >= 0 ? retryAfter : RESTART_SECONDS * 4 ** (restart - 1)
  return Math.min(seconds, MAX_RETRY_SECONDS)
}
