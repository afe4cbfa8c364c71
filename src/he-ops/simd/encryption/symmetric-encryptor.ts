import { bitLength } from '../../../circuit/primes.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { type PackedRlwe, type Polynomial, packedBytes, SEED_BYTES } from '../../../wire/index.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { readSmall, reduceSmall } from './small-polynomial.ts'
import type { ZeroSource } from './zeros.ts'

// Encryptions as node-seal makes them, most of the work being the kernels'. node-seal samples one of zero modulo the first
// prime alone,
//
//    c0 = -(a * s + e) mod q_0,   a uniform, expanded from a seed; e the error,
//
// and the kernels extend it to the other primes. The seed's stream goes on where a modulo q_0 ends: read on, it gives a
// modulo q_1, q_2 and so on, the very residues that node-seal would have drawn. The error is a polynomial of small integers,
// so that it can be read from c0 + a * s mod q_0 and has known residues modulo every other prime. What comes out is
// -(a * s + e) modulo all primes, for the a and the e that node-seal has drawn: its own distribution of encryptions of
// zero. Nothing is drawn here, and what node-seal gave is a part of the result, so that no second sample with the same
// error exists anywhere.

/** Coefficients of SEAL's error are sums and differences of 42 random bits, and none is larger. */
export const ERROR_BOUND = 21

/** Address of what is added to c0 modulo prime `i`, in NTT form, if anything. */
export type Addend = (i: number) => number | undefined

/** Makes encryptions under the secret key of what lies in kernel memory. */
export class SymmetricEncryptor {
  readonly #context: SimdContext
  readonly #zeros: ZeroSource
  readonly #negatedSecret: number
  readonly #seed: number
  readonly #scratch: number
  /** a modulo all primes. */
  readonly #uniform: number
  /** One polynomial's residues modulo one prime each. */
  readonly #error: number
  readonly #work: number
  readonly #packed: number
  /** Terms of a `dot`: two of blocks and one of vectors. */
  readonly #blockTerms: number
  readonly #vectorTerms: number

  /**
   * @param zeros under the same secret key, modulo the context's first prime
   * @param negatedSecret address of -s modulo all primes, in Montgomery form
   */
  constructor(context: SimdContext, zeros: ZeroSource, negatedSecret: number) {
    const { heap, kernels, limbBytes, moduli } = context
    this.#context = context
    this.#zeros = zeros
    this.#negatedSecret = negatedSecret
    this.#seed = heap.allocate(SEED_BYTES)
    this.#scratch = heap.allocate(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
    this.#uniform = heap.allocate(moduli.length * limbBytes)
    this.#error = heap.allocate(limbBytes)
    this.#work = heap.allocate(limbBytes)
    this.#packed = heap.allocate(limbBytes)
    this.#blockTerms = heap.allocate(24)
    this.#vectorTerms = heap.allocate(8)
  }

  /**
   * A fresh encryption of zero modulo the first primes of the context, and what is to be added to its first polynomial.
   *
   * @param primes how many
   * @throws INTERNAL when node-seal's encryption is none of zero under the secret key
   */
  encrypt(primes: number, addend: Addend = () => undefined): PackedRlwe {
    const { c0, seed } = this.#draw(primes)
    this.#readError(c0)
    const limbs = Array.from({ length: primes }, (_, i) => {
      reduceSmall(this.#context, i, this.#error, ERROR_BOUND, this.#work)
      this.#minusProduct(i, this.#work, this.#work, addend(i))
      return this.#pack(i, this.#work)
    })
    return { limbs, seed }
  }

  /**
   * node-seal's encryption of zero, its a being written modulo all primes. Once in some 2^16 times a word of the seed's stream
   * is not taken for a residue; the one that replaces it comes from behind the words of all primes, which node-seal did not
   * know. The encryption is then thrown away for another.
   */
  #draw(primes: number): { c0: Polynomial; seed: Uint8Array } {
    const { heap, kernels, limbBytes, moduli, ring } = this.#context
    const chunks = (8 * ring) / kernels.CHUNK_BYTES.value
    for (;;) {
      const { c0, seed } = this.#zeros.next()
      heap.bytes(this.#seed, SEED_BYTES).set(seed)
      let rejected = 0
      for (let i = 0; i < primes && rejected === 0; i++) {
        const out = this.#uniform + i * limbBytes
        rejected = kernels.uniform(out, this.#seed, i * chunks, ring, moduli[i].q, this.#scratch)
      }
      if (rejected === 0) return { c0, seed }
    }
  }

  /** Coefficients of e + `ERROR_BOUND`, from c0 = -(a * s + e) modulo the first prime. */
  #readError(c0: Polynomial): void {
    const { heap, ring } = this.#context
    const words = heap.words(this.#work, ring)
    for (let b = 0; b < ring; b++) words[b] = c0[2 * b]
    this.#minusProduct(0, this.#error, this.#work)
    if (readSmall(this.#context, this.#error, ERROR_BOUND)) return
    throw new PolyVeilError('INTERNAL', 'An encryption of zero has a larger error than it should')
  }

  /** out = addend - a * s - subtrahend modulo prime `i`. */
  #minusProduct(i: number, out: number, subtrahend: number, addend?: number): void {
    const { heap, kernels, limbBytes, moduli, negatedOnes, ones, ring } = this.#context
    const { q, inverse, chunk } = moduli[i]
    const shift = log2Exact(ring)
    const added = addend === undefined ? [] : [addend, ones + 4 * i, shift]
    const blocks = [subtrahend, negatedOnes + 4 * i, shift, ...added]
    const at = i * limbBytes
    heap.words(this.#blockTerms, blocks.length).set(blocks)
    heap.words(this.#vectorTerms, 2).set([this.#uniform + at, this.#negatedSecret + at])
    const count = blocks.length / 3
    kernels.dot(out, this.#blockTerms, count, this.#vectorTerms, 1, 0, ring, q, inverse, chunk, 0)
  }

  #pack(i: number, residues: number): PackedRlwe['limbs'][number] {
    const { heap, kernels, moduli, ring } = this.#context
    const { prime } = moduli[i]
    const bits = bitLength(prime)
    kernels.pack(this.#packed, residues, bits, ring)
    return { prime, bits, bytes: heap.bytes(this.#packed, packedBytes(ring, bits)).slice() }
  }
}
