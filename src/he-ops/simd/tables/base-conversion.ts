import { bitLength, invert } from '../../../circuit/parameters/primes.ts'
import { MOST_REFRESH_PRIMES } from '../../../circuit/refresh.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { Heap } from '../memory/heap.ts'
import { type Modulus, montgomery, type ShoupConstant, shoup } from './modulus.ts'

/** Bits of a word of the integers that the `exactQuotients` kernel compares. */
const EXACT_WORD_BITS = 28
/** Bits of primes that the kernels take. */
const PRIME_BITS = 30

/** floor(2^(31 + b) / q) for a prime of b bits, and 30 - b. */
function fixedReciprocal(prime: bigint): [reciprocal: number, shift: number] {
  const bits = bitLength(prime)
  return [Number((1n << BigInt(31 + bits)) / prime), PRIME_BITS - bits]
}

/** Word `at` of an integer, the least significant first. */
const exactWord = (integer: bigint, at: number): number =>
  Number(BigInt.asUintN(EXACT_WORD_BITS, integer >> BigInt(EXACT_WORD_BITS * at)))

/** Constants that turn a source residue x into y: y = (x + bias) * scale mod q. */
export interface SourceStep {
  readonly bias: number
  readonly scale: ShoupConstant
}

/**
 * Constants of the exact conversion of an integer from residues modulo the sources, of product S, to residues
 * modulo another prime t: with y_i = x_i * (S / q_i)^-1 mod q_i,
 *
 *    x = sum over i of y_i * (S / q_i) - u * S,   u = floor(sum over i of y_i / q_i).
 *
 * A centred conversion takes x + floor(S / 2) through it and takes floor(S / 2) off again, so that the result
 * is the representative of least absolute value.
 *
 * Source: Halevi, Polyakov and Shoup, "An Improved RNS Variant of the BFV Homomorphic Encryption Scheme",
 * ePrint 2018/117, section 2.2.
 *
 * There are two ways to u. In single precision: for an integer within some 2^-20 S of the ends of its range
 * the result may be that integer plus or minus S, the same for all targets. And exactly, for every integer.
 */
export class BaseConversion {
  readonly sources: readonly number[]
  /** One step for each source, in order. */
  readonly steps: readonly SourceStep[]
  /** Address of 1 / q_i as f32. */
  readonly reciprocals: number
  readonly #heap: Heap
  readonly #moduli: readonly Modulus[]
  readonly #product: bigint
  readonly #half: bigint
  readonly #weights = new Map<number, number>()
  #exactTable: number | undefined

  /**
   * @param moduli of a context
   * @param sources indices into `moduli`, distinct
   * @param centred whether residues stand for -floor(S / 2) .. S - 1 - floor(S / 2) rather than 0 .. S - 1
   * @throws TOO_LARGE
   */
  constructor(heap: Heap, moduli: readonly Modulus[], sources: readonly number[], centred: boolean) {
    this.#heap = heap
    this.#moduli = moduli
    this.sources = sources
    const primes = sources.map((index) => moduli[index].prime)
    this.#product = primes.reduce((product, prime) => product * prime, 1n)
    this.#half = centred ? this.#product / 2n : 0n
    this.steps = primes.map((prime) => ({
      bias: Number(this.#half % prime),
      scale: shoup(invert(this.#product / prime, prime), prime),
    }))
    this.reciprocals = heap.allocate(4 * primes.length)
    const reciprocals = new Float32Array(heap.memory.buffer, this.reciprocals, primes.length)
    primes.forEach((prime, i) => {
      reciprocals[i] = 1 / Number(prime)
    })
  }

  /** Whether u may differ from zero. */
  get needsQuotients(): boolean {
    return this.sources.length > 1
  }

  /** Address of the table of the `exactQuotients` kernel, made at its first use. */
  get exactTable(): number {
    this.#exactTable ??= this.#makeExactTable()
    return this.#exactTable
  }

  #makeExactTable(): number {
    const primes = this.sources.map((index) => this.#moduli[index].prime)
    if (primes.length > MOST_REFRESH_PRIMES) {
      throw new PolyVeilError('INTERNAL', `An exact quotient takes ${MOST_REFRESH_PRIMES} primes at most`)
    }
    const length = Math.ceil(bitLength(this.#product) / EXACT_WORD_BITS)
    const integers = [this.#product, ...primes.map((prime) => this.#product / prime)]
    const words = Array.from({ length }, (_, at) => integers.map((integer) => exactWord(integer, at)))
    const table = [...primes.flatMap(fixedReciprocal), length, ...words.flat()]
    const address = this.#heap.allocate(4 * table.length)
    this.#heap.words(address, table.length).set(table)
    return address
  }

  /**
   * Address of the weights of target `index`, in Montgomery form: one for each y_i, then one for u. Made at
   * their first use.
   */
  weights(index: number): number {
    const known = this.#weights.get(index)
    if (known !== undefined) return known
    const { prime } = this.#moduli[index]
    const address = this.#heap.allocate(4 * (this.sources.length + 1))
    const words = this.#heap.words(address, this.sources.length + 1)
    this.sources.forEach((source, i) => {
      words[i] = montgomery(this.#product / this.#moduli[source].prime, prime)
    })
    words[this.sources.length] = montgomery(-this.#product, prime)
    this.#weights.set(index, address)
    return address
  }

  /** The term -floor(S / 2) of a centred conversion, modulo target `index`. */
  bias(index: number): number {
    const { prime } = this.#moduli[index]
    return Number((prime - (this.#half % prime)) % prime)
  }

  /** S^-1 modulo target `index`. */
  inverse(index: number): ShoupConstant {
    const { prime } = this.#moduli[index]
    return shoup(invert(this.#product, prime), prime)
  }
}
