import { bitLength } from '../../../circuit/parameters/primes.ts'
import { type PackedRlwe, packedBytes, SEED_BYTES } from '../../../wire/index.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { binomial, sampleScratch } from '../operations/sample.ts'
import { reduceSmall } from '../operations/small-polynomial.ts'
import { sumArguments } from '../tables/modulus.ts'

// Encryptions as SEAL's `encrypt_zero_symmetric` makes them,
//
//    c0 = -(a * s + e),
//
// a being uniform, expanded from a seed of the platform's generator as SEAL expands it, and e the error,
// centred binomial integers of the platform's generator, the same modulo all primes.

/** Address of the polynomial that is added to c0 modulo prime `i`, in NTT form, if any. */
export type Addend = (i: number) => number | undefined

/** Encrypts polynomials in kernel memory under the secret key. */
export class SymmetricEncryptor {
  readonly #context: SimdContext
  readonly #negatedSecret: number
  readonly #seed: number
  readonly #scratch: number
  /** a modulo all primes. */
  readonly #uniform: number
  /** Residues of one polynomial modulo one prime. */
  readonly #error: number
  readonly #work: number
  readonly #packed: number
  readonly #random: number
  /** Terms of a `dot`: two block terms and one vector term. */
  readonly #blockTerms: number
  readonly #vectorTerms: number

  /** @param negatedSecret address of -s modulo all primes, in Montgomery form */
  constructor(context: SimdContext, negatedSecret: number) {
    const { heap, kernels, limbBytes, moduli } = context
    this.#context = context
    this.#negatedSecret = negatedSecret
    this.#seed = heap.allocate(SEED_BYTES)
    this.#scratch = heap.allocate(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
    this.#uniform = heap.allocate(moduli.length * limbBytes)
    this.#error = heap.allocate(limbBytes)
    this.#work = heap.allocate(limbBytes)
    this.#packed = heap.allocate(limbBytes)
    this.#random = heap.allocate(sampleScratch(context))
    this.#blockTerms = heap.allocate(24)
    this.#vectorTerms = heap.allocate(8)
  }

  /**
   * Encrypts zero modulo the first primes of the context, and adds `addend` to the first polynomial.
   *
   * @param primes their number
   */
  encrypt(primes: number, addend: Addend = () => undefined): PackedRlwe {
    const { heap, call, ring } = this.#context
    const seed = this.#drawSeed(primes)
    const { offset } = binomial(call, this.#context, this.#error, this.#random)
    const limbs = Array.from({ length: primes }, (_, i) => {
      reduceSmall(call, this.#context, i, this.#error, Number(offset), this.#work)
      this.#minusProduct(i, this.#work, this.#work, addend(i))
      return this.#pack(i, this.#work)
    })
    heap.words(this.#error, ring).fill(0)
    return { limbs, seed }
  }

  /**
   * Draws a fresh seed, and writes its a modulo all primes. In about one of 2^16 seeds a word of the stream
   * is rejected, and would be replaced by a word behind those of all primes. Such a seed is discarded.
   */
  #drawSeed(primes: number): Uint8Array {
    const { heap, call, kernels, limbBytes, moduli, ring } = this.#context
    const chunks = (8 * ring) / kernels.CHUNK_BYTES.value
    for (;;) {
      call('random', { address: this.#seed, bytes: SEED_BYTES })
      let rejected = 0
      for (let i = 0; i < primes && rejected === 0; i++) {
        rejected = call('uniform', {
          out: this.#uniform + i * limbBytes,
          seed: this.#seed,
          firstChunk: i * chunks,
          size: ring,
          q: moduli[i].q,
          scratch: this.#scratch,
        })
      }
      if (rejected === 0) return heap.bytes(this.#seed, SEED_BYTES).slice()
    }
  }

  /** out = addend - a * s - subtrahend modulo prime `i`. */
  #minusProduct(i: number, out: number, subtrahend: number, addend?: number): void {
    const { heap, call, limbBytes, moduli, negatedOnes, ones, ring } = this.#context
    const shift = log2Exact(ring)
    const added = addend === undefined ? [] : [addend, ones + 4 * i, shift]
    const blocks = [subtrahend, negatedOnes + 4 * i, shift, ...added]
    const at = i * limbBytes
    heap.words(this.#blockTerms, blocks.length).set(blocks)
    heap.words(this.#vectorTerms, 2).set([this.#uniform + at, this.#negatedSecret + at])
    call('dot', {
      out,
      blockTerms: this.#blockTerms,
      blockCount: blocks.length / 3,
      vectorTerms: this.#vectorTerms,
      vectorCount: 1,
      ...sumArguments(moduli[i], ring),
    })
  }

  #pack(i: number, residues: number): PackedRlwe['limbs'][number] {
    const { heap, call, moduli, ring } = this.#context
    const { prime } = moduli[i]
    const bits = bitLength(prime)
    call('pack', { out: this.#packed, source: residues, bits, size: ring })
    return { prime, bits, bytes: heap.bytes(this.#packed, packedBytes(ring, bits)).slice() }
  }
}
