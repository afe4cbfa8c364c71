/**
 * 32-bit words, one after the other: counted where there is no array for them, and written where there is.
 * Programs of deep circuits have tens of millions, which are to be in memory once.
 */
export class WordWriter {
  readonly #array: Int32Array | undefined
  #length = 0

  /** @param array as long as the words that will be pushed */
  constructor(array?: Int32Array) {
    this.#array = array
  }

  /** Words pushed so far. */
  get length(): number {
    return this.#length
  }

  /** @param word signed or unsigned: its bits are what counts */
  push(word: number): void {
    if (this.#array !== undefined) this.#array[this.#length] = word
    this.#length++
  }
}

/** @param isShared in memory that threads share rather than copy; browsers do not always have it */
export function newWords(length: number, isShared: boolean): Int32Array {
  const bytes = 4 * length
  return new Int32Array(isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes))
}

/** The same words in an array of their own. */
export function wordsOf(numbers: readonly number[], isShared: boolean): Int32Array {
  const words = newWords(numbers.length, isShared)
  words.set(numbers)
  return words
}
