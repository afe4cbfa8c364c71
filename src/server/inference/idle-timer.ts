/** Times in milliseconds. */
export interface Timeouts {
  /** Limit while no request of the client is open. */
  readonly absent: number
  /** Limit while a request of the client is open: its body or its answer may be stalled on the network. */
  readonly present: number
}

/** Calls back when a client that has to act opens and closes no request for too long. */
export class IdleTimer {
  readonly #timeouts: Timeouts
  readonly #onSilence: () => void
  #expected = false
  #present = 0
  #timer: NodeJS.Timeout | undefined

  /**
   * @param onSilence called when the client has to act and its last request opened or closed longer ago than
   *   the limit
   */
  constructor(timeouts: Timeouts, onSilence: () => void) {
    this.#timeouts = timeouts
    this.#onSilence = onSilence
  }

  /** Sets whether the client has to act. */
  expect(expected: boolean): void {
    this.#expected = expected
    this.#arm()
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

  #arm(): void {
    clearTimeout(this.#timer)
    if (!this.#expected) return
    const { absent, present } = this.#timeouts
    this.#timer = setTimeout(this.#onSilence, this.#present > 0 ? present : absent).unref()
  }
}
