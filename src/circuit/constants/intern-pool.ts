import { FNV_OFFSET_BASIS, fnv1aStep, HashIndex, mixed } from './hash-index.ts'
import { Uint32Vector } from './uint32-vector.ts'

/** Length up to which an array is compared faster than its number is remembered. */
const SHORT = 64
/** Doubles of a piece of memory. A longer array gets a piece of its own. */
const PIECE = 2 ** 16

/**
 * Interns Float64Arrays: bitwise equal arrays get one number, in order of first use. The pool keeps copies in
 * shared pieces of memory, because circuits have millions of short arrays.
 */
export class InternPool {
  readonly #pieces: Float64Array[] = []
  /** Doubles of the last piece that are in use. */
  #taken = 0
  /** By number: the piece, the index of the first double in it, and the length. */
  readonly #piece = new Uint32Vector()
  readonly #start = new Uint32Vector()
  readonly #size = new Uint32Vector()
  readonly #index = new HashIndex()
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
    const known = this.#index.find(hash, (number) => this.#holds(number, values))
    if (known !== undefined) return known
    this.#keep(values)
    return this.#index.add(hash)
  }

  #holds(number: number, values: Float64Array): boolean {
    if (this.#size.at(number) !== values.length) return false
    const piece = this.#pieces[this.#piece.at(number)]
    const start = this.#start.at(number)
    for (let i = 0; i < values.length; i++) if (!Object.is(piece[start + i], values[i])) return false
    return true
  }

  #keep(values: Float64Array): void {
    if (this.#taken + values.length > (this.#pieces.at(-1)?.length ?? -1)) {
      this.#pieces.push(new Float64Array(Math.max(this.#pieceSize(), values.length)))
      this.#taken = 0
    }
    this.#pieces.at(-1)!.set(values, this.#taken)
    this.#piece.push(this.#pieces.length - 1)
    this.#start.push(this.#taken)
    this.#size.push(values.length)
    this.#taken += values.length
  }

  /** The first pieces are small, for small circuits. */
  #pieceSize(): number {
    return Math.min(PIECE, 2 * (this.#pieces.at(-1)?.length ?? SHORT))
  }
}

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)

function hashOf(values: Float64Array): number {
  let hash = FNV_OFFSET_BASIS
  for (let i = 0; i < values.length; i++) {
    double[0] = values[i]
    hash = fnv1aStep(hash, words[0])
    hash = fnv1aStep(hash, words[1] ^ (hash >>> 15))
  }
  return mixed(hash)
}
