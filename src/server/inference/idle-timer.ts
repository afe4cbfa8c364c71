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
  #present = 0
  /** Those of them that wait for an output. */
  #waiting = 0
  /** When the client began to have to act, or its last request opened, began to wait or closed. */
  #silentSince = 0
  #silence: NodeJS.Timeout | undefined
  #stall: NodeJS.Timeout | undefined

  /**
   * @param onSilence called when the client has to act, and either its last request opened or closed longer
   *   ago than the limit, or the last step of the inference is longer ago than its limit
   */
  constructor(timeouts: Timeouts, onSilence: () => void) {
    this.#timeouts = timeouts
    this.#onSilence = onSilence
  }

  /** Open requests of the client. */
  get present(): number {
    return this.#present
  }

  /**
   * Milliseconds since a client that has to act had its last request open; 0 for any other. Requests that
   * wait for an output do not count: they may stay open for as long as the client does nothing.
   */
  get silence(): number {
    const acts = this.#present > this.#waiting
    return this.#expected && !acts ? performance.now() - this.#silentSince : 0
  }

  /**
   * Sets whether the client has to act. Called at each step of the inference: a round begins or is over, or
   * the inference ends.
   */
  expect(expected: boolean): void {
    this.#expected = expected
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

  /** Notes that an open request waits for an output. @returns a function to call when it has it */
  wait(): () => void {
    this.#waiting++
    this.#silentSince = performance.now()
    return () => {
      this.#waiting--
    }
  }

  #arm(): void {
    clearTimeout(this.#silence)
    this.#silentSince = performance.now()
    if (!this.#expected) return
    const { absent, present } = this.#timeouts
    this.#silence = setTimeout(this.#onSilence, this.#present > 0 ? present : absent).unref()
  }
}
