import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import { bitLength } from '../circuit/parameters/primes.ts'

/** The engines that execute circuits on ciphertexts. */
export const ENGINE_NAMES = ['simd', 'seal'] as const
export type EngineName = (typeof ENGINE_NAMES)[number]

/** Largest prime in bits that the simd kernels' lanes hold. */
export const SIMD_PRIME_BITS = 30

/**
 * The engine for circuits under these parameters. It is chosen here and nowhere else: the simd engine
 * wherever its arithmetic takes the primes, since it is faster by far.
 */
export const engineNameFor = ({
  primes,
  specialPrimes,
}: Pick<CkksParameters, 'primes' | 'specialPrimes'>): EngineName =>
  [...primes, ...specialPrimes].every((prime) => bitLength(prime) <= SIMD_PRIME_BITS) ? 'simd' : 'seal'
