/** Writes 32-bit words to an array, or only counts them where there is no array. */
export class WordWriter {
  readonly #array: Int32Array | undefined
  #length = 0

  /** @param array as long as the number of words that will be pushed */
  constructor(array?: Int32Array) {
    this.#array = array
  }

  /** Words pushed so far. */
  get length(): number {
    return this.#length
  }

  /** @param word signed or unsigned; its 32 bits are kept */
  push(word: number): void {
    if (this.#array !== undefined) this.#array[this.#length] = word
    this.#length++
  }
}

/** @param isShared for memory that threads share; not available in all browsers */
export function newWords(length: number, isShared: boolean): Int32Array {
  const bytes = 4 * length
  return new Int32Array(isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes))
}

/** Copies numbers to a new array of words. */
export function wordsOf(numbers: readonly number[], isShared: boolean): Int32Array {
  const words = newWords(numbers.length, isShared)
  words.set(numbers)
  return words
}
