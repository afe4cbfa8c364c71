import { Silence } from './network-error.ts'

/** How fast the body of an answer has to come. */
export interface Pace {
  /** Time that it may be slower. */
  readonly graceMilliseconds: number
  /** Least rate on the average from then on, in bytes a millisecond. */
  readonly leastRate: number
}

/** What a line of 128 kbit/s carries. */
const PACE: Pace = { graceMilliseconds: 30_000, leastRate: 16 }

/** Ends a request whose server says nothing for too long, or so little at a time that it would never end. */
export class SilenceLimit {
  readonly #controller = new AbortController()
  readonly #pace: Pace
  #timer: ReturnType<typeof setTimeout> | undefined
  #begun: number | undefined
  #bytes = 0

  /** @param milliseconds until the first byte of the answer has to be there */
  constructor(milliseconds: number, pace: Pace = PACE) {
    this.#pace = pace
    this.allow(milliseconds)
  }

  /** Aborted with a `Silence` when the time is over. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Something came: so long may the next take. */
  allow(milliseconds: number): void {
    this.#abortAfter(milliseconds, () => `silent for ${milliseconds / 1000} seconds`)
  }

  /**
   * Bytes of the answer's body came, or its beginning: so long may the next take, unless all together are too
   * slow by then. A byte now and then would otherwise hold the client for as long as the server likes.
   */
  heard(bytes: number, milliseconds: number): void {
    this.#begun ??= performance.now()
    this.#bytes += bytes
    const { graceMilliseconds, leastRate } = this.#pace
    const end = this.#begun + graceMilliseconds + this.#bytes / leastRate
    const left = end - performance.now()
    if (left >= milliseconds) this.allow(milliseconds)
    else this.#abortAfter(left, () => `too slow: ${this.#bytes} bytes of its answer came in time`)
  }

  end(): void {
    clearTimeout(this.#timer)
  }

  /** @param reason called when the time is over, because this runs for every chunk of an answer */
  #abortAfter(milliseconds: number, reason: () => string): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#controller.abort(new Silence(reason())), milliseconds)
  }
}
