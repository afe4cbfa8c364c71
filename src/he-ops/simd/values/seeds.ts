import { type KernelCall, kernelCalls } from '../../kernels/call.ts'
import type { Kernels } from '../../kernels/kernels.ts'
import type { Heap } from '../memory/heap.ts'

const MAX_WORD = 2n ** 64n - 1n

/** Expands seeds into uniform polynomials as SEAL's `sample_poly_uniform` does, in kernel memory. */
export class SeedExpander {
  readonly #heap: Heap
  readonly #call: KernelCall
  readonly #chunkBytes: number
  /** The seed, and the kernels' scratch memory. */
  readonly #seed: number
  readonly #scratch: number

  constructor(heap: Heap, kernels: Kernels) {
    this.#heap = heap
    this.#call = kernelCalls(kernels)
    this.#chunkBytes = kernels.CHUNK_BYTES.value
    const scratchBytes: number = kernels.SCRATCH_BYTES.value + this.#chunkBytes
    const [seed, scratch] = heap.attempt(() => [heap.allocate(64), heap.allocate(scratchBytes)] as const)
    this.#seed = seed
    this.#scratch = scratch
  }

  /**
   * Writes the polynomial of a seed: uniform residues in NTT form.
   *
   * @param seed 64 bytes
   * @param primes below 2^30, in the order of the encryption's level
   * @param ring N, at least 512
   * @param addresses of the N residues modulo each prime, which are written
   */
  expand(seed: Uint8Array, primes: readonly bigint[], ring: number, addresses: readonly number[]): void {
    this.#heap.bytes(this.#seed, 64).set(seed)
    const chunks = (8 * ring) / this.#chunkBytes
    let rejected = 0
    primes.forEach((prime, i) => {
      rejected += this.#call('uniform', {
        out: addresses[i],
        seed: this.#seed,
        firstChunk: i * chunks,
        size: ring,
        q: Number(prime),
        scratch: this.#scratch,
      })
    })
    // About one word in 2^34 is rejected. The place of its replacement in the stream depends on all words
    // before.
    if (rejected > 0) {
      this.expandExactly(seed, primes, ring).forEach((residues, i) => {
        this.#heap.words(addresses[i], ring).set(Uint32Array.from(residues, Number))
      })
    }
  }

  /**
   * As `expand`, but slower, for primes of up to 60 bits and any number of rejected words.
   *
   * @returns N residues in 0 .. q - 1 for each prime; nothing stays in kernel memory
   */
  expandExactly(seed: Uint8Array, primes: readonly bigint[], ring: number): BigUint64Array[] {
    this.#heap.bytes(this.#seed, 64).set(seed)
    const chunk = this.#heap.allocate(this.#chunkBytes)
    try {
      return this.#drawAll(this.#draws(chunk), primes, ring)
    } finally {
      this.#heap.free(chunk)
    }
  }

  /**
   * Draws a word for each residue of each prime; then, prime after prime, replacements for rejected words.
   */
  #drawAll(
    draws: Generator<bigint, never, undefined>,
    primes: readonly bigint[],
    ring: number,
  ): BigUint64Array[] {
    const words = primes.map(() => BigUint64Array.from({ length: ring }, () => draws.next().value))
    return words.map((drawn, i) => {
      const prime = primes[i]
      const limit = MAX_WORD - (MAX_WORD % prime) - 1n
      return drawn.map((word) => {
        let accepted = word
        while (accepted >= limit) accepted = draws.next().value
        return accepted % prime
      })
    })
  }

  /** Frees the working memory. */
  free(): void {
    this.#heap.free(this.#seed)
    this.#heap.free(this.#scratch)
  }

  /** The words of the seed's stream. @param chunk memory for one chunk of it */
  *#draws(chunk: number): Generator<bigint, never, undefined> {
    for (let counter = 0; ; counter++) {
      this.#call('streamChunk', { out: chunk, seed: this.#seed, counter, scratch: this.#scratch })
      yield* new BigUint64Array(this.#heap.bytes(chunk, this.#chunkBytes).slice().buffer)
    }
  }
}
