const FIRST_LENGTH = 64

/** A growing list of unsigned words, four bytes each. */
export class Uint32Vector {
  #words = new Uint32Array(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** @param word 0 to 2^32 - 1 */
  push(word: number): void {
    if (this.#length === this.#words.length) this.#grow()
    this.#words[this.#length++] = word
  }

  /** @param index below `length` */
  at(index: number): number {
    return this.#words[index]
  }

  /** A view of the list at its present length. */
  words(): Uint32Array {
    return this.#words.subarray(0, this.#length)
  }

  #grow(): void {
    const words = new Uint32Array(Math.max(FIRST_LENGTH, 2 * this.#words.length))
    words.set(this.#words)
    this.#words = words
  }
}
