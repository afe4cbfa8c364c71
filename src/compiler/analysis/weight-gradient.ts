import { convolvePlain, type TapRange, tapRanges } from '../graph/convolution.ts'
import { product, scalePositions } from '../graph/elementwise.ts'
import type { ConvNode, NodeOf, Shape } from '../graph/graph.ts'
import { tapped } from '../graph/taps.ts'

// Sums of squares of a scalar's gradient with respect to all weights of a layer, from the gradient with
// respect to the layer's output. Independent errors of variance v in the weights give the scalar an error of
// variance v times the sum.

/**
 * Number of random combinations of output channels for the estimate of the sum over all pairs of channels.
 */
const PROJECTIONS = 6

/**
 * Share of the rounding error of smooth plaintexts that is common to all channels. It comes from coefficients
 * that are rounded to zero.
 */
const TRUNCATED_SHARE = 1 / 4

/** A layer's input, and the gradient with respect to its output. */
export interface LayerPass {
  /** [in, H, W], the layer's input. */
  readonly input: Float64Array
  readonly inShape: Shape
  /** [out, H, W], with respect to the layer's output. */
  readonly gradient: Float64Array
}

/**
 * For weights that are equal at all positions: sum over weights of (sum over positions of gradient times
 * input)^2. For a layer that mixes channels, the sum is estimated from random combinations of its outputs.
 *
 * @param sign -1 or 1 with equal chance
 */
export function periodicGradient(node: ConvNode, pass: LayerPass, sign: () => number): number {
  const scaled = {
    ...pass,
    gradient: node.position ? scalePositions(pass.gradient, node.position) : pass.gradient,
  }
  if (node.groups !== 1) return perWeight(node, scaled)
  let sum = 0
  for (let r = 0; r < PROJECTIONS; r++)
    sum += perWeight(node, { ...scaled, gradient: combined(node, scaled.gradient, sign) })
  return sum / PROJECTIONS
}

/** The sum of all output channels' gradients with random signs, as one map. */
function combined(
  { shape: [channels, height, width] }: ConvNode,
  gradient: Float64Array,
  sign: () => number,
): Float64Array {
  const area = height * width
  const map = new Float64Array(area)
  for (let c = 0; c < channels; c++) {
    const own = sign()
    for (let at = 0; at < area; at++) map[at] += own * gradient[c * area + at]
  }
  return map
}

/** @param pass its gradient has one map for all input channels, or one for each output channel */
function perWeight(node: ConvNode, { input, inShape, gradient }: LayerPass): number {
  const area = node.shape[1] * node.shape[2]
  const inArea = inShape[1] * inShape[2]
  const isShared = gradient.length === area
  const maps = isShared ? inShape[0] : node.shape[0]
  let sum = 0
  for (const range of tapRanges(node, inShape)) {
    for (let c = 0; c < maps; c++) {
      sum += overlap(range, gradient, isShared ? 0 : c * area, input, (c % inShape[0]) * inArea) ** 2
    }
  }
  return sum
}

/** Sum over a tap's outputs of the gradient there times the input that the tap reads. */
function overlap(
  range: TapRange,
  out: Float64Array,
  outStart: number,
  input: Float64Array,
  inStart: number,
): number {
  const { top, bottom, left, right, outRow, inRow, inColumn, shift } = range
  let sum = 0
  for (let y = top; y < bottom; y++) {
    const end = outStart + y * outRow + right
    let from = inStart + y * inRow + left * inColumn + shift
    for (let to = outStart + y * outRow + left; to < end; to++) {
      sum += out[to] * input[from]
      from += inColumn
    }
  }
  return sum
}

/**
 * For weights with an independent value and error at every position: sum over positions and weights of
 * (gradient times input)^2. For weights with a position scale, the part of the rounding that is common to all
 * channels is added.
 */
export function scatteredGradient(node: ConvNode, pass: LayerPass): number {
  const alone = perPosition(node, pass)
  if (node.position === undefined) return alone
  const plain = convolvePlain(node, pass.input, pass.inShape)
  const size = node.weight.reduce((sum, w) => sum + w * w, 0) / node.weight.length
  if (size === 0) return alone
  return alone + (TRUNCATED_SHARE * commonToChannels(plain, pass.gradient, node.position.length)) / size
}

function perPosition(node: ConvNode, { input, inShape, gradient }: LayerPass): number {
  const isDense = node.groups === 1
  const out = squares(gradient, node.shape, isDense)
  const into = squares(input, inShape, isDense)
  const area = node.shape[1] * node.shape[2]
  const inArea = inShape[1] * inShape[2]
  let sum = 0
  for (const range of tapRanges(node, inShape)) {
    for (let c = 0; c < out.length / area; c++) {
      sum += overlap(range, out, c * area, into, (c * inArea) % into.length)
    }
  }
  return sum
}

/** Squares of the values; summed over channels if `isSummed`. */
function squares(values: Float64Array, [channels, height, width]: Shape, isSummed: boolean): Float64Array {
  if (!isSummed) return product(values, values)
  const area = height * width
  return commonSums(values, values, channels, area)
}

/** The sum of squares for a diagonal's scales. */
export function diagonalGradient(
  { channel, position }: NodeOf<'diagonal'>,
  input: Float64Array,
  gradient: Float64Array,
): number {
  const common = commonToChannels(input, gradient, position.length)
  // All ciphertexts share one plaintext, and so its error.
  if (channel.every((scale) => scale === channel[0])) return common
  return relativeGradient(input, gradient) + TRUNCATED_SHARE * common
}

/**
 * The sum of squares for the factors of positioned taps. The rounding error of a factor is there where the
 * factor is zero, too. All ciphertexts share the factors of positions, and so a part of the error.
 */
export function tapsGradient(node: NodeOf<'taps'>, input: Float64Array, gradient: Float64Array): number {
  const area = node.shape[1] * node.shape[2]
  return node.taps.reduce((sum, tap) => {
    const read = tapped(input, node.shape, tap)
    return sum + relativeGradient(read, gradient) + TRUNCATED_SHARE * commonToChannels(read, gradient, area)
  }, 0)
}

/** The sum of squares for a head's encoded weights, which are divided by the number of positions. */
export function headGradient(input: Float64Array, channels: number, gradient: Float64Array): number {
  const area = input.length / channels
  let sum = 0
  for (let c = 0; c < channels; c++) {
    sum += input.subarray(c * area, (c + 1) * area).reduce((all, x) => all + x, 0) ** 2
  }
  return sum * sumOfSquares(gradient)
}

export function sumOfSquares(values: Float64Array): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i]
  return sum
}

/** The sum of squares for relative errors of a tensor's elements. */
export const relativeGradient = (input: Float64Array, gradient: Float64Array): number =>
  sumOfSquares(product(input, gradient))

/** Sum over channels of (sum over positions of the gradient times the element)^2. */
export function perChannelGradient(input: Float64Array, gradient: Float64Array, area: number): number {
  const products = product(input, gradient)
  let sum = 0
  for (let start = 0; start < products.length; start += area) {
    sum += products.subarray(start, start + area).reduce((all, x) => all + x, 0) ** 2
  }
  return sum
}

/** Sum over positions of (sum over channels of a times b)^2. */
const commonToChannels = (a: Float64Array, b: Float64Array, area: number): number =>
  commonSums(a, b, a.length / area, area).reduce((sum, own) => sum + own * own, 0)

/** For each position the sum over channels of a times b. */
function commonSums(a: Float64Array, b: Float64Array, channels: number, area: number): Float64Array {
  const sums = new Float64Array(area)
  for (let c = 0, i = 0; c < channels; c++) {
    for (let at = 0; at < area; at++, i++) sums[at] += a[i] * b[i]
  }
  return sums
}
