import type { ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'

/**
 * Sum over k of rotate(parts[k], k * unit), by Horner's rule from both ends towards 0. It takes one rotation
 * for each step between 0 and the farthest k on either side, and the keys of +unit and -unit.
 *
 * @param parts values by k; all of one level and scale
 */
export function hornerSum(
  builder: CircuitBuilder,
  parts: ReadonlyMap<number, ValueId>,
  unit: number,
): ValueId {
  const ks = [...parts.keys()]
  const centre = parts.get(0)
  const sides = [
    oneSide(builder, parts, Math.max(0, ...ks), unit),
    oneSide(builder, parts, Math.min(0, ...ks), unit),
  ]
  const summands = [centre, ...sides].filter((id) => id !== undefined)
  return summands.reduce((sum, id) => builder.add(sum, id))
}

function oneSide(
  builder: CircuitBuilder,
  parts: ReadonlyMap<number, ValueId>,
  farthest: number,
  unit: number,
): ValueId | undefined {
  const step = Math.sign(farthest)
  let sum: ValueId | undefined
  for (let k = farthest; k !== 0; k -= step) {
    const part = parts.get(k)
    sum = sum === undefined ? part : part === undefined ? sum : builder.add(sum, part)
    if (sum !== undefined) sum = builder.rotate(sum, step * unit)
  }
  return sum
}
