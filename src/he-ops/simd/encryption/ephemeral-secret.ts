import { EPHEMERAL_WEIGHT } from '../../../circuit/parameters/ephemeral.ts'
import type { SimdContext } from '../context.ts'
import { reduceSmall } from '../operations/small-polynomial.ts'
import { shoup } from '../tables/modulus.ts'

/**
 * The secret under which servers raise moduli: `EPHEMERAL_WEIGHT` of its coefficients are 1 or -1, all others
 * are zero. It is sampled for one key set, from the platform's CSPRNG, and exists in kernel memory only,
 * until `delete` overwrites it.
 */
export class EphemeralSecret {
  readonly #context: SimdContext
  /** Address of N words: each coefficient plus one. */
  readonly #coefficients: number

  constructor(context: SimdContext) {
    const { heap, limbBytes } = context
    this.#context = context
    this.#coefficients = heap.allocate(limbBytes)
    sample(context, this.#coefficients)
  }

  /**
   * Writes `factor` times the secret modulo prime `i` of a context, in NTT form.
   *
   * @param context of the same ring, on the same heap
   */
  write(context: SimdContext, i: number, factor: bigint, to: number): void {
    const { call, moduli, ring } = context
    const { prime, q } = moduli[i]
    reduceSmall(call, context, i, this.#coefficients, 1, to)
    call('scale', { out: to, a: to, bias: 0, ...shoup(factor, prime), size: ring, q })
  }

  delete(): void {
    const { heap, ring } = this.#context
    heap.words(this.#coefficients, ring).fill(0)
    heap.free(this.#coefficients)
  }
}

/**
 * Draws positions until there are enough distinct ones. N is a power of two, so that the lowest bits of a
 * word are a position without bias; the topmost bit is a sign.
 */
function sample({ heap, call, ring }: SimdContext, to: number): void {
  const random = heap.allocate(4)
  const words = heap.words(to, ring).fill(1)
  for (let placed = 0; placed < EPHEMERAL_WEIGHT; ) {
    call('random', { address: random, bytes: 4 })
    const [drawn] = heap.words(random, 1)
    placed += place(words, drawn % ring, drawn >>> 31)
  }
  heap.words(random, 1).fill(0)
  heap.free(random)
}

/**
 * Puts a coefficient where it is still zero. No branch and no address depends on a position or a sign.
 *
 * @returns 1 if it was put, 0 if the position was taken
 */
function place(words: Uint32Array, position: number, sign: number): number {
  let taken = 0
  for (let k = 0; k < words.length; k++) taken |= isEqual(k, position) & (words[k] ^ 1)
  const change = (1 - taken) * (1 - 2 * sign)
  for (let k = 0; k < words.length; k++) words[k] += isEqual(k, position) * change
  return 1 - taken
}

/** 1 where two numbers below 2^31 are equal, else 0. */
const isEqual = (a: number, b: number): number => ((a ^ b) - 1) >>> 31
