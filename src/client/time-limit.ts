import { PolyVeilError } from '../errors/index.ts'

/** Default limit on the time of one inference; the slowest networks take minutes. */
export const DEFAULT_INFERENCE_SECONDS = 3600

/** Limit on the time of one inference, from the query to the answer. */
export interface InferenceLimit {
  readonly seconds: number
  /** The server's address, for the message. */
  readonly server: string
  /** Of the caller. */
  readonly signal?: AbortSignal
}

/**
 * Runs an inference with a signal that is aborted when the time is over. A server that answers each round
 * just in time could otherwise hold a client for days.
 *
 * @throws SERVER_UNREACHABLE when the time is over and `infer` heeds its signal; errors of `infer`
 */
export async function withinTime<T>(
  { seconds, server, signal }: InferenceLimit,
  infer: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(tookTooLong(server, seconds)), seconds * 1000)
  try {
    return await infer(signal ? AbortSignal.any([signal, controller.signal]) : controller.signal)
  } finally {
    clearTimeout(timer)
  }
}

const tookTooLong = (server: string, seconds: number): PolyVeilError =>
  new PolyVeilError(
    'SERVER_UNREACHABLE',
    `The server at ${server} did not finish an inference within ${seconds} seconds`,
    { origin: server, reason: 'slow', seconds },
    {
      remedy:
        'Check the connection and the load of the server. If they are as slow as that, raise ' +
        '`maxInferenceSeconds` of the limits that connect takes (classify --max-seconds).',
    },
  )
