import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'

// A slot z = x1 + i x2 holds two channels. Any map of two real numbers to two real numbers,
//
//   y1 = w11 x1 + w12 x2,  y2 = w21 x1 + w22 x2,
//
// is y = a z + conj(b z) with a = ((w11 + w22) + i (w21 - w12)) / 2 and b = ((w11 - w22) - i (w21 + w12)) / 2.
// So a layer makes two weighted sums of its inputs, the plain half with the weights a and the conjugated half
// with the weights b, and conjugates the second sum: once for each output, however many inputs there are.

/** Which of the two weighted sums. */
export type Half = 'plain' | 'conjugated'

/** Parts of the slots that a layer reads and writes. */
export interface SlotParts {
  readonly from: Layout['parts']
  readonly to: Layout['parts']
}

/** A real weight from a part of the input's slot to a part of the output's slot. */
export type PartWeight = (to: 0 | 1, from: 0 | 1) => number

/**
 * The halves that a layer needs weights for. Where its inputs are real there is no conjugated half. Where its
 * outputs are real, both halves have the same weights, and one sum is made.
 */
export const halvesOf = ({ from, to }: SlotParts): readonly Half[] =>
  from === 2 && to === 2 ? ['plain', 'conjugated'] : ['plain']

/** The real or the imaginary part of a slot's weight in one half. */
export function halfWeight(half: Half, part: 0 | 1, { from, to }: SlotParts, weight: PartWeight): number {
  if (from === 1) return to > part ? weight(part, 0) : 0
  if (to === 1) return part === 0 ? weight(0, 0) / 2 : -weight(0, 1) / 2
  const sign = half === 'plain' ? 1 : -1
  return part === 0 ? (weight(0, 0) + sign * weight(1, 1)) / 2 : (sign * weight(1, 0) - weight(0, 1)) / 2
}

/**
 * The weight of a lane, which is real, where each channel is multiplied by a weight of its own.
 *
 * @param weightOf the weight of a channel
 */
export function channelHalf(
  half: Half,
  layout: Layout,
  ciphertext: number,
  lane: number,
  weightOf: (channel: number) => number,
): number {
  const { channels, channelsPerCiphertext, parts } = layout
  const first = ciphertext * channelsPerCiphertext + lane * parts
  return halfWeight(half, 0, { from: parts, to: parts }, (to, from) =>
    to === from && first + to < channels ? weightOf(first + to) : 0,
  )
}

/**
 * The output of a layer from its weighted sums.
 *
 * @param sum returns the sum of a half; undefined when all of its weights are zero
 * @returns undefined when all weights of the layer are zero
 */
export function joinHalves(
  builder: CircuitBuilder,
  parts: SlotParts,
  sum: (half: Half) => ValueId | undefined,
): ValueId | undefined {
  const plain = sum('plain')
  if (parts.from === 1) return plain
  const other = parts.to === 1 ? plain : sum('conjugated')
  if (other === undefined) return plain
  const conjugated = builder.conjugate(other)
  return plain === undefined ? conjugated : builder.add(plain, conjugated)
}

/**
 * Root mean square of the weights of one half, by that of the real weights. Where the output is real, both
 * halves carry the same errors, which counts here.
 *
 * @param isDiagonal whether no channel is added to another one
 */
export function halfGain(size: number, { from, to }: SlotParts, isDiagonal: boolean): number {
  if (from === 1) return size * Math.sqrt(to)
  if (to === 1) return size
  return isDiagonal ? size / Math.SQRT2 : size
}

/**
 * Variance of the rounding errors of a layer's weights, by that of an encoded real constant. A complex
 * constant has half of its error in each part. Both halves of a layer have errors, which are independent
 * unless the output is real.
 *
 * @param isReal whether the halves' weights are real, as where no channel is added to another one
 */
export function roundingVariance({ from, to }: SlotParts, isReal: boolean): number {
  if (from === 1) return to === 1 ? 1 : 1 / 2
  if (to === 1) return 2
  return isReal ? 2 : 1
}
