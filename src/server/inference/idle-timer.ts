/** Times in milliseconds. */
export interface Timeouts {
  /** While nobody is there. */
  readonly absent: number
  /** While somebody is there: a request or its answer may be stuck on the way. */
  readonly present: number
}

/** Notices when nothing has happened for a while, although somebody is expected to do something. */
export class IdleTimer {
  readonly #timeouts: Timeouts
  readonly #onSilence: () => void
  #expected = false
  #present = 0
  #timer: NodeJS.Timeout | undefined

  /**
   * @param onSilence called when somebody was expected and timeouts is over since the last coming or going
   */
  constructor(timeouts: Timeouts, onSilence: () => void) {
    this.#timeouts = timeouts
    this.#onSilence = onSilence
  }

  /** Whether somebody has to do something. */
  expect(expected: boolean): void {
    this.#expected = expected
    this.#arm()
  }

  /** Somebody is there, until what is returned is called. */
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
