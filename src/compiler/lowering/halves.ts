import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'

// A slot z = x1 + i x2 holds two channels. Any map of two real numbers to two real numbers,
//
//   y1 = w11 x1 + w12 x2,  y2 = w21 x1 + w22 x2,
//
// is y1 + i y2 = a z + conj(b z) with a = ((w11 + w22) + i (w21 - w12)) / 2 and b = ((w11 - w22) - i (w21 +
// w12)) / 2. So a layer makes two weighted sums of its inputs, one with the weights a and one with the
// weights b, and conjugates the second sum: once for each output, however many inputs there are.
//
// Where y1 and y2 are wanted in slots of their own, the two sums have the weights c = (w11 - i w12) / 2 and
// (w21 - i w22) / 2: y1 = c z + conj(c z).

/** A weighted sum: those of y1 + i y2, or those of y1 and y2 in slots of their own. */
export type Half = 'plain' | 'conjugated' | 'first' | 'second'

/** A real weight from a part of the input's slot to a part of the output's slot. */
export type PartWeight = (to: 0 | 1, from: 0 | 1) => number

/** Channels in a slot. */
type Parts = Layout['parts']

/**
 * The real or the imaginary part of a slot's weight in a half.
 *
 * @param from channels in each slot of the input
 */
export function halfWeight(half: Half, part: 0 | 1, from: Parts, weight: PartWeight): number {
  if (half === 'first' || half === 'second') {
    const to = half === 'first' ? 0 : 1
    if (from === 1) return part === 0 ? weight(to, 0) : 0
    return part === 0 ? weight(to, 0) / 2 : -weight(to, 1) / 2
  }
  if (from === 1) return weight(part, 0)
  const sign = half === 'plain' ? 1 : -1
  return part === 0 ? (weight(0, 0) + sign * weight(1, 1)) / 2 : (sign * weight(1, 0) - weight(0, 1)) / 2
}

/**
 * The part of a lane's weight in a half, where each channel is multiplied by a weight of its own.
 *
 * @param weightOf the weight of a channel
 */
export function channelHalf(
  half: Half,
  part: 0 | 1,
  layout: Layout,
  ciphertext: number,
  lane: number,
  weightOf: (channel: number) => number,
): number {
  const { channels, channelsPerCiphertext, parts } = layout
  const first = ciphertext * channelsPerCiphertext + lane * parts
  return halfWeight(half, part, parts, (to, from) =>
    to === from && first + to < channels ? weightOf(first + to) : 0,
  )
}

/** The weighted sum of a half; undefined when all of its weights are zero. */
type SumOf = (half: Half) => ValueId | undefined

/**
 * The output y1 + i y2 of a layer from its sums.
 *
 * @returns undefined when all weights of the layer are zero
 */
export function joinedOutput(
  builder: CircuitBuilder,
  from: Parts,
  to: Parts,
  sum: SumOf,
): ValueId | undefined {
  if (to === 1) return realOutput(builder, from, sum('first'))
  const plain = sum('plain')
  const other = from === 1 ? undefined : sum('conjugated')
  if (other === undefined) return plain
  const conjugated = builder.conjugate(other)
  return plain === undefined ? conjugated : builder.add(plain, conjugated)
}

/** The output y1 or y2 from its sum. */
export const realOutput = (
  builder: CircuitBuilder,
  from: Parts,
  sum: ValueId | undefined,
): ValueId | undefined => (from === 1 || sum === undefined ? sum : builder.add(sum, builder.conjugate(sum)))

/**
 * Root mean square of a half's weights, by that of the real weights. The errors of a sum and of its conjugate
 * are equal in an output of one channel, which counts here.
 *
 * @param isDiagonal whether no channel is added to another one
 */
export function halfGain(size: number, half: Half, from: Parts, isDiagonal: boolean): number {
  if (from === 2) return isDiagonal ? size / Math.SQRT2 : size
  return half === 'plain' ? size * Math.SQRT2 : size
}

/**
 * Variance of the rounding errors of a layer's weights, by that of an encoded real constant. A complex
 * constant has half of its error in each part.
 *
 * @param isDiagonal whether no channel is added to another one, so that weights are real or imaginary
 */
export function roundingVariance(half: Half, from: Parts, isDiagonal: boolean): number {
  const isJoined = half === 'plain' || half === 'conjugated'
  if (from === 1) return isJoined ? 1 / 2 : 1
  return (isJoined ? 1 : 2) * (isDiagonal ? 2 : 1)
}
