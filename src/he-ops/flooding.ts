import type { CkksParameters } from '../circuit/parameters.ts'
import { PolyVeilError } from '../errors/index.ts'
import { coefficientDeviation } from './noise.ts'

/**
 * The bound B of integers uniform in -B .. B on the coefficients that give the wanted deviation in the slots; the
 * deviation of such integers is B / sqrt(3) or slightly more.
 *
 * @param slotDeviation in units of 1 / scale; 0 gives 0
 * @throws LEVEL_EXHAUSTED when they do not fit the level's modulus
 */
export function floodingBound(parameters: CkksParameters, level: number, slotDeviation: number): number {
  const bound = Math.ceil(Math.sqrt(3) * coefficientDeviation(parameters, slotDeviation))
  const modulus = parameters.primes.slice(0, level + 1).reduce((product, prime) => product * Number(prime), 1)
  if (!(bound >= 0 && bound < modulus / 2 && bound < 2 ** 52)) {
    throw new PolyVeilError('LEVEL_EXHAUSTED', `Flooding noise does not fit the modulus of level ${level}`, {
      level,
      needBits: Math.log2(bound) + 1,
      haveBits: Math.log2(modulus),
    })
  }
  return bound
}
