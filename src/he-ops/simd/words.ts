const CHUNK_WORDS = 2 ** 18

/** A growing list of 32-bit words: programs of deep circuits have tens of millions, too many for arrays of numbers. */
export class WordList {
  readonly #full: Int32Array[] = []
  #last = new Int32Array(CHUNK_WORDS)
  #used = 0

  static of(numbers: readonly number[]): WordList {
    const list = new WordList()
    for (const number of numbers) list.push(number)
    return list
  }

  get length(): number {
    return this.#full.length * CHUNK_WORDS + this.#used
  }

  /** @param word signed or unsigned: its bits are what counts */
  push(word: number): void {
    if (this.#used === CHUNK_WORDS) {
      this.#full.push(this.#last)
      this.#last = new Int32Array(CHUNK_WORDS)
      this.#used = 0
    }
    this.#last[this.#used++] = word
  }

  /** @param isShared in memory that threads share rather than copy; browsers do not always have it */
  toArray(isShared: boolean): Int32Array {
    const bytes = 4 * this.length
    const array = new Int32Array(isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes))
    this.#full.forEach((chunk, i) => {
      array.set(chunk, i * CHUNK_WORDS)
    })
    array.set(this.#last.subarray(0, this.#used), this.#full.length * CHUNK_WORDS)
    return array
  }
}
