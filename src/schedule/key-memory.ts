import type { KeyLevels } from '../circuit/keys.ts'
import { ephemeralChain } from '../circuit/parameters/ephemeral.ts'
import { type CkksParameters, digitCount, type KeySwitchingChain } from '../circuit/parameters/parameters.ts'
import { RESIDUE_BYTES } from './limits.ts'

type KeyParameters = KeySwitchingChain & Pick<CkksParameters, 'ring'>
type RaiseParameters = KeyParameters & Pick<CkksParameters, 'raiseLevel'>

/**
 * Bytes of one key switching key in kernel memory: for each digit two polynomials over the data primes and
 * the special primes.
 *
 * @param level up to which the key is used, by default the highest; the primes above it are left out
 */
export const switchingKeyBytes = (parameters: KeyParameters, level = parameters.primes.length - 1): number =>
  2 *
  digitCount(parameters, level) *
  (level + 1 + parameters.specialPrimes.length) *
  RESIDUE_BYTES *
  parameters.ring

/** Bytes of the two keys of the ephemeral secret in kernel memory; 0 where nothing is raised. */
export function raiseKeyBytes(parameters: RaiseParameters): number {
  const { ring, raiseLevel } = parameters
  if (raiseLevel === undefined) return 0
  return (
    switchingKeyBytes({ ring, ...ephemeralChain(parameters, raiseLevel) }) + switchingKeyBytes(parameters)
  )
}

/**
 * Bytes of a client's keys in kernel memory: Galois keys, the relinearisation key, and those of the ephemeral
 * secret, each up to the level at which it is used.
 */
export function keyMemory(parameters: RaiseParameters, { relin, galois }: KeyLevels): number {
  const levels = relin === undefined ? [...galois.values()] : [relin, ...galois.values()]
  return (
    levels.reduce((sum, level) => sum + switchingKeyBytes(parameters, level), 0) + raiseKeyBytes(parameters)
  )
}

/** `keyMemory` of keys that are all used at the highest level. */
export const mostKeyMemory = (parameters: RaiseParameters, galoisKeys: number): number =>
  (1 + galoisKeys) * switchingKeyBytes(parameters) + raiseKeyBytes(parameters)
