import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { eachCiphertext } from './ciphertexts.ts'
import type { Packed } from './packed.ts'

// For z = x1 + i x2 and w = y1 + i y2, the slot-wise complex product is not the product of the channels. With
// the real numbers s = 2 (y1 + y2) = (w + conj w) + i (conj w - w) and d = 2 (y1 - y2) = (w + conj w) -
// i (conj w - w), it is
//
//   x1 y1 + i x2 y2 = (z s + conj(z d)) / 4.
//
// When y1 and y2 change places, s stays and d changes its sign: such an exchange costs nothing.

/** An encoded quarter, at a scale at which it is the integer 1 or -1. */
const QUARTER_SCALE = 4
const quarter = (sign: 1 | -1): ConstantDraft => ({
  period: 1,
  gain: 1 / 4,
  exact: true,
  make: () => Float64Array.of(sign / 4),
})

/**
 * Lowers the element-wise product of two tensors.
 *
 * @returns output at the operands' level, at the product of their scales; times 4 where slots hold two
 *   channels
 */
export function lowerProduct(builder: CircuitBuilder, left: Packed, right: Packed): Packed {
  const [a, b] = left.exchanged && !right.exchanged ? [right, left] : [exchangePlaces(builder, left), right]
  const { layout } = a
  const values = eachCiphertext(builder, layout, [a.values, b.values], (index) =>
    productOf(builder, layout, a.values[index], b.values[index], b.exchanged ?? false),
  )
  return { layout, values, clean: a.clean || b.clean }
}

/** @param isExchanged whether the channels of each slot of `right` change places */
function productOf(
  builder: CircuitBuilder,
  { parts }: Layout,
  left: ValueId,
  right: ValueId,
  isExchanged: boolean,
): ValueId {
  if (parts === 1) return builder.multiply(left, right)
  const conjugated = builder.conjugate(right)
  const even = builder.add(right, conjugated)
  const odd = builder.timesI(builder.subtract(conjugated, right))
  const sum = builder.multiply(left, builder.add(even, odd))
  const difference = builder.conjugate(builder.multiply(left, builder.subtract(even, odd)))
  const terms = [
    { value: () => sum, constant: quarter(1) },
    { value: () => difference, constant: quarter(isExchanged ? -1 : 1) },
  ]
  return builder.dot(terms, QUARTER_SCALE)!
}

/** The tensor with the channels of each slot in their places. */
export function exchangePlaces(builder: CircuitBuilder, packed: Packed): Packed {
  if (!packed.exchanged) return packed
  const { layout, values, clean } = packed
  return {
    layout,
    // i conj(x1 + i x2) = x2 + i x1.
    values: eachCiphertext(builder, layout, [values], (index) =>
      builder.timesI(builder.conjugate(values[index])),
    ),
    clean,
  }
}
