import { ephemeralChain } from '../circuit/parameters/ephemeral.ts'
import { type CkksParameters, digitCount, type KeySwitchingChain } from '../circuit/parameters/parameters.ts'
import { RESIDUE_BYTES } from './limits.ts'

/** Bytes of one key switching key in kernel memory: two polynomials over all primes for each digit. */
export const switchingKeyBytes = (parameters: KeySwitchingChain & Pick<CkksParameters, 'ring'>): number =>
  2 *
  digitCount(parameters) *
  (parameters.primes.length + parameters.specialPrimes.length) *
  RESIDUE_BYTES *
  parameters.ring

/** Bytes of the two keys of the ephemeral secret in kernel memory; 0 where nothing is raised. */
export function raiseKeyBytes(parameters: CkksParameters): number {
  const { ring, raiseLevel } = parameters
  if (raiseLevel === undefined) return 0
  return (
    switchingKeyBytes({ ring, ...ephemeralChain(parameters, raiseLevel) }) + switchingKeyBytes(parameters)
  )
}

/**
 * Bytes of a client's keys in kernel memory: Galois keys, the relinearisation key, and those of the ephemeral
 * secret.
 */
export const keyMemory = (parameters: CkksParameters, galoisKeys: number): number =>
  (1 + galoisKeys) * switchingKeyBytes(parameters) + raiseKeyBytes(parameters)
