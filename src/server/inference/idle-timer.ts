import { LEAST_RATE, REQUEST_MILLISECONDS } from '../request-time.ts'

/** Times in milliseconds. */
export interface Timeouts {
  /** Limit while no request of the client is open. */
  readonly absent: number
  /** Limit while a request of the client is open: its body or its answer may be stalled on the network. */
  readonly present: number
  /**
   * Limit between two steps of the inference while the client has to act, whatever requests it makes:
   * requests alone would let it hold its place for ever.
   */
  readonly stalled: number
}

/**
 * Calls back when a client that has to act makes no request for too long, or makes requests without a step of
 * the inference for too long.
 */
export class IdleTimer {
  readonly #timeouts: Timeouts
  readonly #onSilence: () => void
  #expected = false
  readonly #now: () => number
  #present = 0
  /**
   * Until when the client has acted: the last step of the inference, and what bytes that moved since then
   * take at the least rate.
   */
  #acted = 0
  /** Of that time, what bodies of the client have earned since the last step. */
  #earned = 0
  /** Outputs that have been sent to the client. */
  readonly #sent = new Set<number>()
  #silence: NodeJS.Timeout | undefined
  #stall: NodeJS.Timeout | undefined

  /**
   * @param onSilence called when the client has to act, and either its last request opened or closed longer
   *   ago than the limit, or the last step of the inference is longer ago than its limit
   * @param now a clock that is never set, in milliseconds
   */
  constructor(timeouts: Timeouts, onSilence: () => void, now: () => number = () => performance.now()) {
    this.#timeouts = timeouts
    this.#onSilence = onSilence
    this.#now = now
  }

  /** Open requests of the client. */
  get present(): number {
    return this.#present
  }

  /**
   * Milliseconds for which a client that has to act has not; 0 for any other. Requests do not count by
   * themselves: they may be repeated, or stay open, for as long as the client does nothing.
   */
  get silence(): number {
    return this.#expected ? Math.max(0, this.#now() - this.#acted) : 0
  }

  /**
   * Sets whether the client has to act. Called at each step of the inference: a round begins or is over, or
   * the inference ends.
   */
  expect(expected: boolean): void {
    this.#expected = expected
    this.#acted = Math.max(this.#acted, this.#now())
    this.#earned = 0
    this.#arm()
    clearTimeout(this.#stall)
    if (expected) this.#stall = setTimeout(this.#onSilence, this.#timeouts.stalled).unref()
  }

  /** Notes that a request of the client is open. @returns a function to call when it closes */
  enter(): () => void {
    this.#present++
    this.#arm()
    return () => {
      this.#present--
      this.#arm()
    }
  }

  /**
   * Notes that an output begins to be sent to the client. The first time it is a step, and the client has the
   * time that its bytes take at the least rate.
   */
  sends(output: number, bytes: number): void {
    if (this.#sent.has(output)) return
    this.#sent.add(output)
    this.#acted = Math.max(this.#acted, this.#now()) + bytes / LEAST_RATE
  }

  /**
   * Notes bytes of a body of the client. They count at the least rate, so that bodies that trickle earn
   * little, and since the last step for as long as one request may take, so that bodies cannot be repeated
   * for ever.
   */
  receives(bytes: number): void {
    const most = Math.min(REQUEST_MILLISECONDS - this.#earned, this.silence)
    const earned = Math.max(0, Math.min(most, bytes / LEAST_RATE))
    this.#earned += earned
    this.#acted += earned
  }

  #arm(): void {
    clearTimeout(this.#silence)
    if (!this.#expected) return
    const { absent, present } = this.#timeouts
    this.#silence = setTimeout(this.#onSilence, this.#present > 0 ? present : absent).unref()
  }
}
