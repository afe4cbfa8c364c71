import { modulusBits } from '../../../circuit/laws.ts'
import type { CkksParameters } from '../../../circuit/parameters/parameters.ts'
import type { Op, OpKind, ValueId } from '../../../circuit/types.ts'
import { PEAK_FACTOR } from '../../analysis/ranges.ts'
import { LOGIT_BITS } from './precision.ts'

/**
 * Bits above a message of 1 that the peaks of a tensor and its sign take, in a slot with two channels of the
 * largest size.
 */
const MESSAGE_BITS = Math.log2(PEAK_FACTOR * Math.SQRT2) + 1
/** Further bits of the values inside a product, which are up to four times as large as its operands. */
const PRODUCT_BITS = 2

/** Operations of a product's layer that read or make the whole product. */
const AFTER_PRODUCT: readonly OpKind[] = ['dot', 'rescale', 'dropLevel', 'refresh']

/**
 * Whether every value stays below half of its level's modulus, at the largest peaks that are planned for.
 *
 * @param layers kinds of the layers that operations belong to
 */
export function headroomHolds(
  ops: readonly Op[],
  layers: readonly { readonly kind: string }[],
  result: ValueId,
  parameters: CkksParameters,
): boolean {
  const bits = modulusBits(parameters)
  return ops.every((op, id) => {
    const isInProduct = layers[op.layer].kind === 'multiply' && !AFTER_PRODUCT.includes(op.kind)
    const productBits = isInProduct ? PRODUCT_BITS : 0
    const messageBits = id === result ? LOGIT_BITS + 1 : MESSAGE_BITS + productBits
    return Math.log2(op.scale) + messageBits <= bits[op.level]
  })
}
