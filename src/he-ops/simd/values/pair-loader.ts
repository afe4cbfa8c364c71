import { type PackedRlwe, residueTooLarge } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { SeedExpander } from './seeds.ts'

/** Loads pairs from checked frames to kernel memory: unpacks, checks every residue, expands the seed. */
export class PairLoader {
  readonly #context: SimdContext
  readonly #seeds: SeedExpander
  readonly #packed: number

  /**
   * Allocates memory for the packed residues modulo one prime.
   * @throws TOO_LARGE
   */
  constructor(context: SimdContext) {
    const { heap, kernels, limbBytes } = context
    this.#context = context
    const [seeds, packed] = heap.attempt(
      () => [new SeedExpander(heap, kernels), heap.allocate(limbBytes + kernels.UNPACK_SLACK.value)] as const,
    )
    this.#seeds = seeds
    this.#packed = packed
  }

  /**
   * Writes the residues of both polynomials, prime after prime, in NTT form.
   *
   * @param pair over the first primes of the context's moduli
   * @param c0 address of the first polynomial
   * @param c1 address of the second polynomial
   * @throws TENSOR_MALFORMED when a residue is not below its prime; residues written before stay
   */
  load({ limbs, seed }: PackedRlwe, c0: number, c1: number): void {
    const { ring, limbBytes } = this.#context
    limbs.forEach((limb, i) => {
      this.#unpack(limb, i, c0 + i * limbBytes)
    })
    this.#seeds.expand(
      seed,
      limbs.map(({ prime }) => prime),
      ring,
      limbs.map((_, i) => c1 + i * limbBytes),
    )
  }

  /**
   * Checks a pair without loading it.
   *
   * @throws TENSOR_MALFORMED when a residue is not below its prime
   */
  check({ limbs }: PackedRlwe): void {
    const scratch = this.#context.heap.allocate(this.#context.limbBytes)
    try {
      for (let i = 0; i < limbs.length; i++) this.#unpack(limbs[i], i, scratch)
    } finally {
      this.#context.heap.free(scratch)
    }
  }

  /** Frees the working memory; loaded polynomials stay. */
  free(): void {
    this.#context.heap.free(this.#packed)
    this.#seeds.free()
  }

  #unpack({ prime, bits, bytes }: PackedRlwe['limbs'][number], i: number, target: number): void {
    const { heap, call, ring } = this.#context
    heap.bytes(this.#packed, bytes.length).set(bytes)
    const sound = call('unpack', { out: target, source: this.#packed, bits, size: ring, q: Number(prime) })
    requireSound(sound === 1, i)
  }
}

/** @throws TENSOR_MALFORMED unless the `unpack` kernel found all residues below prime `i` */
export function requireSound(sound: boolean, i: number): void {
  if (!sound) throw residueTooLarge(i)
}
