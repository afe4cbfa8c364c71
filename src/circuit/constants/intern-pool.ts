import { Uint32Vector } from './uint32-vector.ts'

/** Length up to which an array is compared faster than its number is remembered. */
const SHORT = 64
/** Doubles of a piece of memory. A longer array gets a piece of its own. */
const PIECE = 2 ** 16
const FIRST_PLACES = 64

/**
 * Interns Float64Arrays: bitwise equal arrays get one number, in order of first use. The pool keeps copies in
 * shared pieces of memory, because circuits have millions of short arrays.
 */
export class InternPool {
  readonly #pieces: Float64Array[] = []
  /** Doubles of the last piece that are in use. */
  #taken = 0
  /** By number: the piece, the index of the first double in it, the length, and the hash. */
  readonly #piece = new Uint32Vector()
  readonly #start = new Uint32Vector()
  readonly #size = new Uint32Vector()
  readonly #hash = new Uint32Vector()
  /**
   * Hash table: an array's number plus one, at its hash or at the first free place after it. At most half of
   * the places are in use.
   */
  #places = new Uint32Array(FIRST_PLACES)
  /** Numbers of long arrays, which many constants share, by object. */
  readonly #seen = new WeakMap<Float64Array, number>()

  /** Number of distinct arrays so far. */
  get length(): number {
    return this.#size.length
  }

  /** The values of an array by number: a view that must not be changed. */
  at(number: number): Float64Array {
    const start = this.#start.at(number)
    return this.#pieces[this.#piece.at(number)].subarray(start, start + this.#size.at(number))
  }

  /** @param values copied; not to be changed from then on where there are more than `SHORT` */
  numberOf(values: Float64Array): number {
    if (values.length <= SHORT) return this.#find(values)
    const known = this.#seen.get(values)
    if (known !== undefined) return known
    const number = this.#find(values)
    this.#seen.set(values, number)
    return number
  }

  #find(values: Float64Array): number {
    const hash = hashOf(values)
    const mask = this.#places.length - 1
    let place = hash & mask
    for (; this.#places[place] > 0; place = (place + 1) & mask) {
      const number = this.#places[place] - 1
      if (this.#hash.at(number) === hash && this.#holds(number, values)) return number
    }
    const number = this.#keep(values, hash)
    this.#places[place] = number + 1
    if (2 * this.length > this.#places.length) this.#spread()
    return number
  }

  #holds(number: number, values: Float64Array): boolean {
    if (this.#size.at(number) !== values.length) return false
    const piece = this.#pieces[this.#piece.at(number)]
    const start = this.#start.at(number)
    for (let i = 0; i < values.length; i++) if (!Object.is(piece[start + i], values[i])) return false
    return true
  }

  #keep(values: Float64Array, hash: number): number {
    if (this.#taken + values.length > (this.#pieces.at(-1)?.length ?? -1)) {
      this.#pieces.push(new Float64Array(Math.max(this.#pieceSize(), values.length)))
      this.#taken = 0
    }
    this.#pieces.at(-1)!.set(values, this.#taken)
    this.#piece.push(this.#pieces.length - 1)
    this.#start.push(this.#taken)
    this.#size.push(values.length)
    this.#hash.push(hash)
    this.#taken += values.length
    return this.length - 1
  }

  /** The first pieces are small, for small circuits. */
  #pieceSize(): number {
    return Math.min(PIECE, 2 * (this.#pieces.at(-1)?.length ?? SHORT))
  }

  #spread(): void {
    const places = new Uint32Array(2 * this.#places.length)
    const mask = places.length - 1
    for (let number = 0; number < this.length; number++) {
      let place = this.#hash.at(number) & mask
      while (places[place] > 0) place = (place + 1) & mask
      places[place] = number + 1
    }
    this.#places = places
  }
}

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)

/**
 * FNV-1a over words instead of bytes, with a last mixing step.
 *
 * @returns an unsigned word
 */
function hashOf(values: Float64Array): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < values.length; i++) {
    double[0] = values[i]
    hash = Math.imul(hash ^ words[0], 0x01000193)
    hash = Math.imul(hash ^ words[1] ^ (hash >>> 15), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}
