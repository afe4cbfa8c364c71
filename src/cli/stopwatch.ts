/** Measures consecutive intervals. */
export class Stopwatch {
  #last = performance.now()

  /** Seconds since the last lap, or since the beginning. */
  lap(): number {
    const now = performance.now()
    const seconds = (now - this.#last) / 1000
    this.#last = now
    return seconds
  }
}
