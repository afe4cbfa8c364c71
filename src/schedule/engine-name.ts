import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import { bitLength } from '../circuit/parameters/primes.ts'
import { PolyVeilError } from '../errors/index.ts'

/** The engines that execute circuits on ciphertexts. */
export const ENGINE_NAMES = ['simd', 'seal'] as const
export type EngineName = (typeof ENGINE_NAMES)[number]

/** Largest prime in bits that the simd kernels' lanes hold. */
export const SIMD_PRIME_BITS = 30

/** The largest ring of SEAL's security table. SEAL takes no larger ring where it checks security. */
export const LARGEST_SEAL_RING = 32768

/**
 * The engine for circuits under these parameters. It is chosen here and nowhere else: the simd engine
 * wherever its arithmetic takes the primes, since it is faster by far.
 *
 * @throws CONFIG_INVALID when no engine takes both the ring and the primes
 */
export const engineNameFor = ({
  ring,
  primes,
  specialPrimes,
}: Pick<CkksParameters, 'ring' | 'primes' | 'specialPrimes'>): EngineName => {
  if ([...primes, ...specialPrimes].every((prime) => bitLength(prime) <= SIMD_PRIME_BITS)) return 'simd'
  requireSealRing(ring)
  return 'seal'
}

/** @throws CONFIG_INVALID when SEAL does not take the ring */
export function requireSealRing(ring: number): void {
  if (ring <= LARGEST_SEAL_RING) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `node-seal takes rings up to ${LARGEST_SEAL_RING}, not ${ring}; the simd engine does, with primes of at most ${SIMD_PRIME_BITS} bits`,
    { ring, largestRing: LARGEST_SEAL_RING },
  )
}
