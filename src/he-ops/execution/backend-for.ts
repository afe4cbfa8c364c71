import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { bitLength } from '../../circuit/parameters/primes.ts'

/** The backends that execute on ciphertexts. */
export type EncryptedBackend = 'simd' | 'seal'

/** Largest prime in bits that the simd kernels' lanes hold. */
export const SIMD_PRIME_BITS = 30

/** The backend that a circuit's parameters are meant for: kernels take small primes only, and are faster by far. */
export const backendFor = ({ primes, specialPrimes }: CkksParameters): EncryptedBackend =>
  [...primes, ...specialPrimes].every((prime) => bitLength(prime) <= SIMD_PRIME_BITS) ? 'simd' : 'seal'
