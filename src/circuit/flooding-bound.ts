import { PolyVeilError } from '../errors/index.ts'
import type { LogitCoefficients } from './answer.ts'
import type { CkksParameters } from './parameters/parameters.ts'
import type { OutputSpec } from './types.ts'

/** Integers of this size, and the sum of two, are exact in doubles. */
const MOST_BOUND = 2 ** 52

/**
 * The bound B of integers on the coefficients that carry logits, for noise of deviation `output.flooding` on
 * a logit. Their deviation d is that of uniform integers in -B .. B, B / sqrt(3) or slightly more. Integers
 * of deviation d on 2P coefficients give deviation d * sqrt(P) in the real part of a slot.
 *
 * @throws LEVEL_EXHAUSTED when they do not fit the modulus of the output's level
 */
export function floodingBound(
  { primes }: Pick<CkksParameters, 'primes'>,
  { level, scale, flooding }: Pick<OutputSpec, 'level' | 'scale' | 'flooding'>,
  { count }: LogitCoefficients,
): number {
  const bound = Math.ceil((Math.sqrt(3) * flooding * scale) / Math.sqrt(count / 2))
  const modulus = primes.slice(0, level + 1).reduce((product, prime) => product * Number(prime), 1)
  // The sum of two parts reaches B * sqrt(2).
  if (!(bound >= 0 && bound < modulus / 4 && bound < MOST_BOUND)) {
    const needBits = Math.log2(bound) + 1
    const haveBits = Math.min(Math.log2(modulus) - 1, Math.log2(MOST_BOUND) + 1)
    throw new PolyVeilError(
      'LEVEL_EXHAUSTED',
      `The answer's flooding noise takes ${needBits.toFixed(1)} bits, and level ${level} has ${haveBits.toFixed(1)} for it`,
      { level, needBits, haveBits },
      { remedy: 'Compile with more bits of precision, or for the simd engine, whose scales are smaller.' },
    )
  }
  return bound
}
