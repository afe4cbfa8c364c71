import { modulusBits } from '../../../circuit/laws.ts'
import type { CkksParameters } from '../../../circuit/parameters/parameters.ts'
import type { Op, ValueId } from '../../../circuit/types.ts'
import { PEAK_FACTOR } from '../../analysis/ranges.ts'
import { LOGIT_BITS } from './precision.ts'

/**
 * Bits above a message of 1 that the peaks of a tensor and its sign take, in a slot with two channels of the
 * largest size.
 */
const MESSAGE_BITS = Math.log2(PEAK_FACTOR * Math.SQRT2) + 1

/** Whether every value stays below half of its level's modulus, at the largest peaks that are planned for. */
export function headroomHolds(ops: readonly Op[], result: ValueId, parameters: CkksParameters): boolean {
  const bits = modulusBits(parameters)
  return ops.every((op, id) => {
    const messageBits = id === result ? LOGIT_BITS + 1 : MESSAGE_BITS
    return Math.log2(op.scale) + messageBits <= bits[op.level]
  })
}
