import type { ComplexVector, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { eachCiphertext } from './ciphertexts.ts'
import { mapValues, type Packed } from './packed.ts'

// The slot-wise complex product of x1 + i x2 and y1 + i y2 is not the product of the channels, x1 y1 + i x2
// y2. So products read tensors that are split into real slots of x1 and of x2, and add the two products
// before one relinearisation. When the channels of a split tensor change places, its values do.

/**
 * Lowers the element-wise product of two tensors.
 *
 * @returns output at the operands' level, at the product of their scales
 */
export function lowerProduct(builder: CircuitBuilder, left: Packed, right: Packed): Packed {
  const { layout } = left
  const clean = left.clean || right.clean
  if (layout.parts === 1) {
    const values = eachCiphertext(builder, layout, [left.values, right.values], (index) =>
      builder.relinearise(builder.multiply(left.values[index], right.values[index])),
    )
    return { layout, values, clean }
  }
  const [a, b] = [split(builder, left), split(builder, right)]
  const operands = [a.values, a.imaginary, b.values, b.imaginary]
  const values = eachCiphertext(builder, layout, operands, (index) => {
    const real = builder.multiply(a.values[index], b.values[index])
    const [x2, y2] = [a.imaginary[index], b.imaginary[index]]
    if (x2 === undefined || y2 === undefined) return builder.relinearise(real)
    return builder.relinearise(builder.add(real, builder.multiply(builder.timesI(x2), y2)))
  })
  return { layout, values, clean }
}

/**
 * The tensor with the channels of each slot in each other's places.
 *
 * @param packed with an even number of channels, so that each slot has two
 */
export function exchanged(builder: CircuitBuilder, packed: Packed): Packed {
  const { values, imaginary } = packed
  if (imaginary !== undefined) return { ...packed, values: imaginary as ValueId[], imaginary: values }
  // i conj(x1 + i x2) = x2 + i x1.
  return mapValues(builder, packed, (value) => builder.timesI(builder.conjugate(value)))
}

/** At this scale the halves of a split are integers. */
const HALF_SCALE = 2
const half = (real: number, imaginary: number): ConstantDraft => ({
  period: 1,
  gain: 1 / 2,
  exact: true,
  make: (): ComplexVector => ({
    real: Float64Array.of(real / 2),
    imaginary: Float64Array.of(imaginary / 2),
  }),
})

function sumOfHalves(
  builder: CircuitBuilder,
  value: ValueId,
  weight: ConstantDraft,
  conjugated: ConstantDraft,
): ValueId {
  const terms = [
    { value: () => value, constant: weight },
    { value: () => builder.conjugate(value), constant: conjugated },
  ]
  return builder.dot(terms, HALF_SCALE)!
}

/** The real parts of slots, (w + conj w) / 2, at twice the scale. */
export const realPart = (builder: CircuitBuilder, value: ValueId): ValueId =>
  sumOfHalves(builder, value, half(1, 0), half(1, 0))

/** The imaginary parts of slots as real parts, i (conj w - w) / 2, at twice the scale. */
export const imaginaryPart = (builder: CircuitBuilder, value: ValueId): ValueId =>
  sumOfHalves(builder, value, half(0, -1), half(0, 1))

type Split = Packed & Required<Pick<Packed, 'imaginary'>>

/** The split form of a tensor that other layers read, too. */
function split(builder: CircuitBuilder, packed: Packed): Split {
  const { values, imaginary, layout } = packed
  if (imaginary !== undefined) return { ...packed, imaginary }
  const partOf = (part: typeof realPart): ValueId[] =>
    eachCiphertext(builder, layout, [values], (index) => part(builder, values[index]))
  return { ...packed, values: partOf(realPart), imaginary: partOf(imaginaryPart) }
}
