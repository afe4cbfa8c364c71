/** Notices when nobody has been there for a while, although somebody is expected. */
export class Attendance {
  readonly #milliseconds: number
  readonly #onSilence: () => void
  #expected = false
  #present = 0
  #timer: NodeJS.Timeout | undefined

  /** @param onSilence called after `milliseconds` in which somebody was expected and nobody there */
  constructor(milliseconds: number, onSilence: () => void) {
    this.#milliseconds = milliseconds
    this.#onSilence = onSilence
  }

  /** Whether somebody has to come. */
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
    if (!this.#expected || this.#present > 0) return
    this.#timer = setTimeout(this.#onSilence, this.#milliseconds).unref()
  }
}
