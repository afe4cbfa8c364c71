import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { SlotVector } from '../../circuit/types.ts'
import { embedPeriodic } from './embedding.ts'
import { createNtt, forwardNtt, minimalRoot, type Ntt } from './ntt.ts'

/**
 * The residues of a periodic plaintext in NTT form, each of which stands for a block of equal residues.
 *
 * A vector of period p encodes to a polynomial in Y = X^(N / 2p). SEAL's entry j of its transform is the
 * value at psi^(2 * bitReverse(j) + 1). Y depends on that exponent modulo 4p only, which is the same for each
 * block of N / 2p consecutive j. So the transform is that of size 2p with the root psi^(N / 2p), each entry
 * repeated N / 2p times.
 */
export interface CompactPlaintext {
  /** Length of the blocks, N / 2p. */
  readonly block: number
  /** Prime-major, 2p residues for each of q_0 .. q_level. */
  readonly residues: BigUint64Array
  /** True when every coefficient rounds to zero. */
  readonly isZero: boolean
}

/** Encodes periodic constants for one set of parameters; keeps the tables of its transforms. */
export class PeriodicEncoder {
  readonly #parameters: CkksParameters
  readonly #roots: bigint[] = []
  readonly #transforms = new Map<string, Ntt>()

  constructor(parameters: CkksParameters) {
    this.#parameters = parameters
  }

  /**
   * @param values one period, a power of two of at most `slots` numbers
   * @param scale coefficients are multiplied by it and rounded to the nearest integer
   * @param level the result has the primes q_0 .. q_level
   */
  encode(values: SlotVector, scale: number, level: number): CompactPlaintext {
    const coefficients = integerCoefficients(values, scale)
    const size = coefficients.length
    const residues = new BigUint64Array(size * (level + 1))
    for (let i = 0; i <= level; i++) {
      const transform = this.#transform(size, i)
      const reduced = coefficients.map((coefficient) => reduce(coefficient, transform.prime))
      forwardNtt(transform, reduced)
      residues.set(reduced, size * i)
    }
    return { block: this.#parameters.ring / size, residues, isZero: coefficients.every((c) => c === 0n) }
  }

  #transform(size: number, primeIndex: number): Ntt {
    const key = `${size}/${primeIndex}`
    let transform = this.#transforms.get(key)
    if (!transform) {
      transform = this.#createTransform(size, primeIndex)
      this.#transforms.set(key, transform)
    }
    return transform
  }

  #createTransform(size: number, primeIndex: number): Ntt {
    const { ring, primes } = this.#parameters
    const prime = primes[primeIndex]
    this.#roots[primeIndex] ??= minimalRoot(ring, prime)
    let root = this.#roots[primeIndex]
    for (let n = size; n < ring; n *= 2) root = (root * root) % prime
    return createNtt(size, root, prime)
  }
}

/**
 * The coefficients at the given scale, rounded. Doubles beyond 2^53 are integers, which BigInt represents
 * exactly.
 */
function integerCoefficients(values: SlotVector, scale: number): bigint[] {
  return Array.from(embedPeriodic(values), (coefficient) => BigInt(Math.round(coefficient * scale)))
}

const reduce = (value: bigint, prime: bigint): bigint => {
  const remainder = value % prime
  return remainder < 0n ? remainder + prime : remainder
}

/**
 * Writes all residues of a compact plaintext: `block` copies of each. `out` has N residues for each prime.
 */
export function expandPlaintext({ block, residues }: CompactPlaintext, out: BigUint64Array): void {
  for (let i = 0; i < residues.length; i++) out.fill(residues[i], i * block, (i + 1) * block)
}
