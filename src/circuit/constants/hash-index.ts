import { Uint32Vector } from './uint32-vector.ts'

const FIRST_PLACES = 64

/**
 * Finds numbers 0, 1, 2... by the hashes they were added with. The caller keeps what the numbers stand for.
 * There can be millions: a number takes four bytes, and eight to sixteen more for its places.
 */
export class HashIndex {
  /** The hash of each number. */
  readonly #hashes = new Uint32Vector()
  /** A number plus one, at its hash or at the first free place after it. At most half are in use. */
  #places = new Uint32Array(FIRST_PLACES)

  get length(): number {
    return this.#hashes.length
  }

  /**
   * @param hash unsigned word, well mixed
   * @param isSame whether a number of this hash is the one looked for
   * @returns undefined when there is none
   */
  find(hash: number, isSame: (number: number) => boolean): number | undefined {
    const mask = this.#places.length - 1
    for (let place = hash & mask; this.#places[place] > 0; place = (place + 1) & mask) {
      const number = this.#places[place] - 1
      if (this.#hashes.at(number) === hash && isSame(number)) return number
    }
    return undefined
  }

  /** Adds the next number. @returns the number */
  add(hash: number): number {
    const number = this.length
    this.#hashes.push(hash)
    if (2 * this.length > this.#places.length) this.#spread()
    else this.#place(number)
    return number
  }

  #place(number: number): void {
    const mask = this.#places.length - 1
    let place = this.#hashes.at(number) & mask
    while (this.#places[place] > 0) place = (place + 1) & mask
    this.#places[place] = number + 1
  }

  #spread(): void {
    this.#places = new Uint32Array(2 * this.#places.length)
    for (let number = 0; number < this.length; number++) this.#place(number)
  }
}

/** A step of FNV-1a over words instead of bytes. */
export const fnv1aStep = (hash: number, word: number): number => Math.imul(hash ^ word, 0x01000193)

/** The offset basis of FNV-1a (Fowler, Noll and Vo) with 32 bits. */
export const FNV_OFFSET_BASIS = 0x811c9dc5

/**
 * Mixes the bits of a hash at its end, since a table reads its low bits and FNV-1a leaves those of doubles
 * alike.
 *
 * @returns an unsigned word
 */
export function mixed(hash: number): number {
  const half = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (half ^ (half >>> 13)) >>> 0
}
