import { PolyVeilError } from '../errors/index.ts'

/** Default limit on the time of one inference; the slowest networks take minutes. */
export const DEFAULT_INFERENCE_SECONDS = 3600
/** Default limit on the time to find or upload a key set: a gigabyte at 2.4 Mbit/s. */
export const DEFAULT_KEYS_SECONDS = 3600

/**
 * Limit on the time that pieces of work take together. Each request has a limit of its own, but a server that
 * answers each just in time could hold a client for days.
 */
export class TimeLimit {
  readonly #what: string
  readonly #seconds: number
  readonly #server: string
  #leftMilliseconds: number

  /**
   * @param what the work, for the message: "an inference"
   * @param server its address, for the message
   */
  constructor(what: string, seconds: number, server: string) {
    this.#what = what
    this.#seconds = seconds
    this.#server = server
    this.#leftMilliseconds = seconds * 1000
  }

  /**
   * Runs a piece of the work with a signal that is aborted when the time is over.
   *
   * @param signal of the caller
   * @throws SERVER_UNREACHABLE when the time is over and `work` heeds its signal; errors of `work`
   */
  async within<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const startedAt = performance.now()
    const timer = setTimeout(() => controller.abort(this.#error()), Math.max(0, this.#leftMilliseconds))
    try {
      return await work(signal ? AbortSignal.any([signal, controller.signal]) : controller.signal)
    } finally {
      clearTimeout(timer)
      this.#leftMilliseconds -= performance.now() - startedAt
    }
  }

  #error(): PolyVeilError {
    return new PolyVeilError(
      'SERVER_UNREACHABLE',
      `The server at ${this.#server} did not finish ${this.#what} within ${this.#seconds} seconds`,
      { origin: this.#server, reason: 'slow', seconds: this.#seconds },
      {
        remedy:
          'Check the connection and the load of the server. If they are as slow as that, raise ' +
          '`maxKeysSeconds` or `maxInferenceSeconds` of the limits that connect takes (classify --max-seconds).',
      },
    )
  }
}
