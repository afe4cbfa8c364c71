import { digitCount } from '../../../circuit/parameters/parameters.ts'
import type { SimdContext } from '../context.ts'
import type { SwitchingKey } from './switching-key.ts'

/**
 * The addresses of a key that is used up to a level: pair after pair, the limbs of each polynomial one after
 * the other.
 *
 * @param base address of its first limb
 */
export function keyLayout(
  { limbBytes, moduli, parameters }: SimdContext,
  level: number,
  base: number,
  isFar = false,
): SwitchingKey {
  const left = parameters.topLevel - level
  const indices = moduli.map((_, index) => index).filter((index) => index <= level || index > level + left)
  const placeOf = (index: number): number => (index <= level ? index : index - left)
  return {
    isFar,
    level,
    digits: digitCount(parameters, level),
    indices,
    address: (j, p, index) => base + ((2 * j + p) * indices.length + placeOf(index)) * limbBytes,
  }
}
