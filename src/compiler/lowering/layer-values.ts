import { channelsIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { eachCiphertext, type Operands } from './ciphertexts.ts'
import { type Half, joinedOutput, realOutput } from './halves.ts'
import type { Form, Packed } from './packed.ts'

/** The weighted sums that a layer's output is made from. */
export interface LayerSums {
  /** As for `eachCiphertext`. */
  readonly operands: Operands
  /** Channels in each slot of the input. */
  readonly from: Layout['parts']
  /** Scale of the weights. */
  readonly constantScale: number
  /** The weighted sum of a half for an output ciphertext; undefined when all of its weights are zero. */
  readonly sumOf: (index: number) => (half: Half) => ValueId | undefined
  /** A value of the input that can stand in a sum for an output ciphertext without weights. */
  readonly sourceOf: (index: number) => ValueId
}

/**
 * The values of a layer's output, from the weighted sums of its halves. Trained networks have weights of
 * zero, for instance pruned filters. An output that has no other weights still is a ciphertext, because
 * later layers add biases to it and multiply by it.
 *
 * @param layout of the output
 */
export function layerValues(
  builder: CircuitBuilder,
  layout: Layout,
  form: Form,
  { operands, from, constantScale, sumOf, sourceOf }: LayerSums,
): Pick<Packed, 'values' | 'imaginary'> {
  const make = (outputOf: (sum: (half: Half) => ValueId | undefined) => ValueId | undefined): ValueId[] =>
    eachCiphertext(
      builder,
      layout,
      operands,
      (index) => outputOf(sumOf(index)) ?? almostZero(builder, sourceOf(index), constantScale),
    )
  if (form === 'joined') return { values: make((sum) => joinedOutput(builder, from, layout.parts, sum)) }
  return {
    values: make((sum) => realOutput(builder, from, sum('first'))),
    imaginary: eachCiphertext(builder, layout, operands, (index) =>
      channelsIn(layout, index) === 1
        ? undefined
        : (realOutput(builder, from, sumOf(index)('second')) ??
          almostZero(builder, sourceOf(index), constantScale)),
    ),
  }
}

/**
 * The value times the least weight, which is encoded as the polynomial 1. It stands for zero, because a
 * product with zero itself is a transparent ciphertext. What it adds is as large as the rounding errors of a
 * sum of about ten weights at this scale, which the noise model has for every output of a layer.
 *
 * @returns value at the level of `value`, at its scale times `constantScale`
 */
export function almostZero(builder: CircuitBuilder, value: ValueId, constantScale: number): ValueId {
  const weight = 1 / constantScale
  const constant = { period: 1, gain: weight, exact: true, make: () => Float64Array.of(weight) }
  return builder.dot([{ value: () => value, constant }], constantScale)!
}
