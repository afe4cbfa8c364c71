import type { ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'

/**
 * The sum of a value's copies: each slot gets the sum of the slots in its place of all copies. This fills the
 * copies of a value whose other copies are zero.
 *
 * @returns at the value's level and scale
 */
export function sumOfCopies(builder: CircuitBuilder, value: ValueId): ValueId {
  let sum = value
  for (let count = 1; count < builder.copies; count *= 2) {
    sum = builder.add(sum, builder.rotateCopies(sum, count))
  }
  return sum
}
