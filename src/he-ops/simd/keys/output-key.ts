import { invert } from '../../../circuit/parameters/primes.ts'
import type { KeySetReader } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { shoup } from '../tables/modulus.ts'
import { PairLoader } from '../values/pair-loader.ts'

/**
 * The client's public key for re-randomising ciphertexts of one level: modulo the level's primes and one
 * more, the divisor. A public key modulo fewer primes is a public key too.
 */
export interface OutputKey {
  readonly level: number
  /**
   * Addresses of both polynomials, in NTT form and Montgomery form, prime after prime. Modulo the level's
   * primes they are divided by the divisor; modulo the divisor, which comes last, they are not.
   */
  readonly polynomials: readonly [c0: number, c1: number]
}

/**
 * Index of the divisor: the additional modulus under which re-randomising at a level encrypts, and by which
 * it then divides.
 */
export const divisorOf = (level: number): number => level + 1

/** Public keys for the ciphertexts that are sent, one for each of their levels. */
export class OutputKeys {
  readonly #context: SimdContext
  readonly #keys: ReadonlyMap<number, OutputKey>

  private constructor(context: SimdContext, keys: ReadonlyMap<number, OutputKey>) {
    this.#context = context
    this.#keys = keys
  }

  /**
   * @param reader of a key set whose digest has been checked; every residue of its public key is checked here
   * @param levels of the ciphertexts that are sent
   * @throws TENSOR_MALFORMED when a residue is not below its prime; TOO_LARGE. After an error nothing stays
   *   in kernel memory
   */
  static async load(
    context: SimdContext,
    reader: KeySetReader,
    levels: readonly number[],
  ): Promise<OutputKeys> {
    const pair = await reader.packedPublicKey()
    const { heap, limbBytes, moduli } = context
    return heap.attempt(() => {
      const loader = new PairLoader(context)
      const whole = [0, 1].map(() => heap.allocate(limbBytes * moduli.length))
      loader.load(pair, whole[0], whole[1])
      const keys = new Map([...new Set(levels)].map((level) => [level, outputKey(context, whole, level)]))
      for (const address of whole) heap.free(address)
      loader.free()
      return new OutputKeys(context, keys)
    })
  }

  /** The key of one of the levels. */
  at(level: number): OutputKey {
    return this.#keys.get(level)!
  }

  free(): void {
    for (const { polynomials } of this.#keys.values()) {
      for (const address of polynomials) this.#context.heap.free(address)
    }
  }
}

/** @param whole addresses of the public key's polynomials modulo all primes, in NTT form */
function outputKey(context: SimdContext, whole: readonly number[], level: number): OutputKey {
  const { heap, call, limbBytes, moduli, ring } = context
  const divisor = divisorOf(level)
  const [c0, c1] = whole.map((from) => {
    const to = heap.allocate(limbBytes * (divisor + 1))
    for (let i = 0; i <= divisor; i++) {
      const { prime, q } = moduli[i]
      const inverse = i === divisor ? 1n : invert(moduli[divisor].prime, prime)
      const factor = shoup(inverse * 2n ** 32n, prime)
      const at = i * limbBytes
      call('scale', { out: to + at, a: from + at, bias: 0, ...factor, size: ring, q })
    }
    return to
  })
  return { level, polynomials: [c0, c1] }
}
