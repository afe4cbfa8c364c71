import { powMod } from '../../../circuit/primes.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { montgomery } from '../modulus.ts'

/** Bits of a word of a mask: what the kernels take as a factor. */
const WORD_BITS = 30
/** The most that the platform's generator gives at once. */
const RANDOM_BYTES = 65536

/**
 * A mask: one integer for each coefficient, the word k * N + i being the k-th digit of coefficient i to the base 2^30. It
 * stands for that integer less 2^(maskBits - 1). Used for one ciphertext, once.
 */
export type Mask = Uint32Array

/**
 * Draws the integers that hide refreshed values, and writes their residues: never through floating point, which would
 * round away their low bits and bare those of the message.
 */
export class Masks {
  readonly #context: SimdContext
  readonly #bits: number
  /** Address of the words of the mask at hand. */
  readonly #words: number
  /** For each data prime the address of its table of terms. */
  readonly #tables: readonly number[]
  readonly #allocated: number[] = []

  /** @param bits each coefficient is uniform among 2^bits integers */
  constructor(context: SimdContext, bits: number) {
    this.#context = context
    this.#bits = bits
    this.#words = this.#allocate(context.limbBytes * wordsOf(bits))
    this.#tables = context.parameters.primes.map((prime) => this.#table(prime))
  }

  /** A fresh mask from the platform's cryptographic generator. */
  draw(): Mask {
    const { ring } = this.#context
    const mask = new Uint32Array(ring * wordsOf(this.#bits))
    for (let start = 0; start < mask.length; start += RANDOM_BYTES / 4) {
      crypto.getRandomValues(mask.subarray(start, start + RANDOM_BYTES / 4))
    }
    // A power of two of integers: cutting bits off leaves the rest uniform.
    const top = this.#bits - WORD_BITS * (wordsOf(this.#bits) - 1)
    const lastWord = mask.length - ring
    for (let i = 0; i < mask.length; i++) mask[i] &= 2 ** (i < lastWord ? WORD_BITS : top) - 1
    return mask
  }

  /**
   * Adds a mask to a polynomial in NTT form, or takes it off.
   *
   * @param polynomial address of its residues, prime after prime; overwritten
   * @param primes number of data primes
   */
  apply(kind: 'add' | 'subtract', mask: Mask, polynomial: number, primes: number): void {
    const { heap, kernels, limbBytes, moduli, ring } = this.#context
    heap.words(this.#words, mask.length).set(mask)
    const scratch = heap.allocate(limbBytes)
    for (let i = 0; i < primes; i++) {
      const { q, prime, inverse, chunk, forward, quotients } = moduli[i]
      const centre = Number(prime - (powMod(2n, BigInt(this.#bits - 1), prime) % prime))
      kernels.dot(scratch, this.#tables[i], wordsOf(this.#bits), 0, 0, 0, ring, q, inverse, chunk, centre % q)
      kernels.nttForward(scratch, forward, quotients, ring, q)
      const limb = polynomial + i * limbBytes
      kernels[kind](limb, limb, scratch, ring, q)
    }
    heap.words(this.#words, mask.length).fill(0)
    heap.free(scratch)
  }

  free(): void {
    for (const address of this.#allocated.splice(0)) this.#context.heap.free(address)
  }

  /** Terms of the `dot` kernel: each digit times its power of 2^30. */
  #table(prime: bigint): number {
    const { heap, limbBytes, ring } = this.#context
    const count = wordsOf(this.#bits)
    const weights = this.#allocate(4 * count)
    const table = this.#allocate(12 * count)
    for (let k = 0; k < count; k++) {
      heap.words(weights, count)[k] = montgomery(powMod(2n, BigInt(WORD_BITS * k), prime), prime)
      const term = [this.#words + k * limbBytes, weights + 4 * k, log2Exact(ring)]
      heap.words(table + 12 * k, 3).set(term)
    }
    return table
  }

  #allocate(bytes: number): number {
    const address = this.#context.heap.allocate(bytes)
    this.#allocated.push(address)
    return address
  }
}

const wordsOf = (bits: number): number => Math.ceil(bits / WORD_BITS)
