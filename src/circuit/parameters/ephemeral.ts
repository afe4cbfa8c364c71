import { PolyVeilError } from '../../errors/index.ts'

// Servers raise moduli under an ephemeral secret with few coefficients that are not zero. Its security has
// limits of its own, because attacks guess where the zeros are.
//
// Source: Bossuat, Troncoso-Pastoriza and Hubaux, "Bootstrapping for Approximate Homomorphic Encryption with
// Negligible Failure-Probability by Using Sparse-Secret Encapsulation", ePrint 2022/024.

/** Coefficients of the ephemeral secret that are not zero. They are 1 or -1. */
export const EPHEMERAL_WEIGHT = 32

/**
 * Largest log2 of the modulus of the key that encrypts under the ephemeral secret, at 128 bits: the primes of
 * the raise level and one special prime. Rings that are not listed raise no modulus. docs/threat-model.md
 * says where the limits come from; test/circuit/ephemeral-security.test.ts has the attacks.
 */
export const MAX_EPHEMERAL_LOG_QP: Readonly<Record<number, number>> = Object.freeze({
  32768: 90,
  65536: 121,
})

/** Most primes of the raise level: exact base extension takes no more. */
const MOST_RAISE_PRIMES = 8

/** Primes as checked parameters have them. */
interface Primes {
  readonly ring: number
  readonly primes: readonly bigint[]
  readonly specialPrimes: readonly bigint[]
}

type Chain = Omit<Primes, 'ring'>

/**
 * The primes of the key that encrypts under the ephemeral secret: those of the raise level, and the first
 * special prime.
 */
export const ephemeralChain = ({ primes, specialPrimes }: Chain, level: number): Chain => ({
  primes: primes.slice(0, level + 1),
  specialPrimes: specialPrimes.slice(0, 1),
})

/** log2 of the modulus of the key that encrypts under the ephemeral secret. */
export function ephemeralBits(chain: Chain, level: number): number {
  const { primes, specialPrimes } = ephemeralChain(chain, level)
  return [...primes, ...specialPrimes].reduce((bits, prime) => bits + Math.log2(Number(prime)), 0)
}

/**
 * Checks that values of a level may be raised.
 *
 * @throws SECURITY_TOO_LOW when the ephemeral secret of the ring has less than 128 bits of security at the
 *   modulus of its key; CONFIG_INVALID when the level is none below the highest, or has more primes than can
 *   be extended exactly
 */
export function requireRaiseLevel(parameters: Primes, level: number): void {
  const { ring, primes } = parameters
  if (!Number.isInteger(level) || level < 0 || level >= Math.min(primes.length - 1, MOST_RAISE_PRIMES)) {
    throw new PolyVeilError('CONFIG_INVALID', `Values of level ${level} cannot be raised`, { level })
  }
  const limit = Object.hasOwn(MAX_EPHEMERAL_LOG_QP, ring) ? MAX_EPHEMERAL_LOG_QP[ring] : 0
  const logQP = ephemeralBits(parameters, level)
  if (logQP <= limit) return
  throw new PolyVeilError(
    'SECURITY_TOO_LOW',
    `The key of the ephemeral secret has ${logQP.toFixed(2)} bits; ring ${ring} allows ${limit} at 128-bit security`,
    { ring, logQP, limit },
  )
}
