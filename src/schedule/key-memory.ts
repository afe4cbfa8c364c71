import type { KeyLevels } from '../circuit/keys.ts'
import { ephemeralChain } from '../circuit/parameters/ephemeral.ts'
import { type CkksParameters, digitCount, type KeySwitchingChain } from '../circuit/parameters/parameters.ts'
import type { FarStorage, KeyName, PlacedBytes } from './far-storage.ts'
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

/** The switch to the ephemeral secret, whose key is small, and the keys that may be kept in far memory. */
type AnyKeyName = KeyName | 'down'

/**
 * Bytes of each of a client's keys in memory: Galois keys, the relinearisation key, and those of the
 * ephemeral secret, each up to the level at which it is used.
 */
export function keySizes(parameters: RaiseParameters, { relin, galois }: KeyLevels): Map<AnyKeyName, number> {
  const sizes = new Map<AnyKeyName, number>()
  for (const [element, level] of galois) sizes.set(element, switchingKeyBytes(parameters, level))
  if (relin !== undefined) sizes.set('relin', switchingKeyBytes(parameters, relin))
  const { ring, raiseLevel } = parameters
  if (raiseLevel !== undefined) {
    sizes.set('down', switchingKeyBytes({ ring, ...ephemeralChain(parameters, raiseLevel) }))
    sizes.set('up', switchingKeyBytes(parameters))
  }
  return sizes
}

/** Bytes of all of a client's keys in memory. */
export const keyMemory = (parameters: RaiseParameters, levels: KeyLevels): number =>
  sumOf(keySizes(parameters, levels).values())

/** `keyMemory` of keys that are all used at the highest level. */
export function mostKeyMemory(parameters: RaiseParameters, galoisKeys: number): number {
  const others = keyMemory(parameters, { relin: parameters.primes.length - 1, galois: new Map() })
  return galoisKeys * switchingKeyBytes(parameters) + others
}

/**
 * Bytes of a client's keys where some of them are kept in far memory. Those in kernel memory contain the
 * window that far keys are copied to.
 */
export function placedKeyMemory(
  parameters: RaiseParameters,
  levels: KeyLevels,
  { isFarKey }: FarStorage,
): PlacedBytes {
  const sizes = [...keySizes(parameters, levels)]
  const isFar = (name: AnyKeyName): boolean => name !== 'down' && isFarKey(name)
  const bytesOf = (wanted: boolean): number[] =>
    sizes.filter(([name]) => isFar(name) === wanted).map(([, bytes]) => bytes)
  const far = bytesOf(true)
  return { near: sumOf(bytesOf(false)) + Math.max(0, ...far), far: sumOf(far) }
}

const sumOf = (numbers: Iterable<number>): number => [...numbers].reduce((sum, number) => sum + number, 0)
