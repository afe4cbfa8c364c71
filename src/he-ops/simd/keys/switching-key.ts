import { type CkksParameters, digitCount } from '../../../circuit/parameters/parameters.ts'

/**
 * A key switching key in kernel memory, in Montgomery form and NTT form: a pair of polynomials for each
 * digit.
 */
export interface SwitchingKey {
  /** Address of polynomial `p` of digit j's pair modulo `SimdContext.moduli[index]`. */
  address(j: number, p: number, index: number): number
}

/** Bytes of one key switching key in kernel memory. */
export const switchingKeyBytes = (parameters: CkksParameters): number =>
  2 *
  digitCount(parameters) *
  (parameters.primes.length + parameters.specialPrimes.length) *
  4 *
  parameters.ring
