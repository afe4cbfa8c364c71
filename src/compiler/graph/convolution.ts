import { scalePositions } from './elementwise.ts'
import type { ConvNode, Shape } from './graph.ts'
import { multiplyMatrices, transpose } from './matrix.ts'

/**
 * The outputs for which one kernel position reads within the map: rows `top` .. `bottom - 1` and columns
 * `left` .. `right - 1`. Output (y, x) reads the input at `y * inRow + x * inColumn + shift`.
 */
export interface TapRange {
  readonly top: number
  readonly bottom: number
  readonly left: number
  readonly right: number
  /** Input index that output (0, 0) reads; it may lie outside the input. */
  readonly shift: number
  readonly outRow: number
  readonly inRow: number
  readonly inColumn: number
}

/**
 * A bias-free convolution with zero padding, times the node's scale at each position.
 *
 * @param x [in, H, W] of `inShape`
 * @returns [out, H, W] of the node's shape
 */
export function convolve(node: ConvNode, x: Float64Array, inShape: Shape): Float64Array {
  const plain = convolvePlain(node, x, inShape)
  return node.position ? scalePositions(plain, node.position) : plain
}

/** As `convolve`, without the scale of positions. */
export function convolvePlain(node: ConvNode, x: Float64Array, inShape: Shape): Float64Array {
  const [channels, height, width] = node.shape
  if (isPointwise(node)) {
    return multiplyMatrices(node.weight, x, { rows: channels, inner: inShape[0], columns: height * width })
  }
  const out = new Float64Array(channels * height * width)
  eachWeight(node, inShape, (weight, range, to, from) => {
    addTap(weight, range, out, to, x, from)
  })
  return out
}

/**
 * The transpose of the convolution as a linear map. By the chain rule it turns the gradient with respect to
 * the output into the gradient with respect to the input.
 *
 * @param gradient [out, H, W] with respect to the output
 * @returns [in, H, W] of `inShape`, with respect to the input
 */
export function convolveTransposed(node: ConvNode, gradient: Float64Array, inShape: Shape): Float64Array {
  const scaled = node.position ? scalePositions(gradient, node.position) : gradient
  const [channels, height, width] = node.shape
  if (isPointwise(node)) {
    const weight = transpose(node.weight, channels, inShape[0])
    return multiplyMatrices(weight, scaled, { rows: inShape[0], inner: channels, columns: height * width })
  }
  const out = new Float64Array(inShape[0] * inShape[1] * inShape[2])
  eachWeight(node, inShape, (weight, range, to, from) => {
    addTapBack(weight, range, scaled, to, out, from)
  })
  return out
}

/** Whether a convolution mixes channels alone: each output position reads its own input position. */
export const isPointwise = ({ kernel, stride, padding, groups }: ConvNode): boolean =>
  kernel === 1 && stride === 1 && padding === 0 && groups === 1

/** Visits each weight with its range, and the start of its output and input channels. */
function eachWeight(
  node: ConvNode,
  inShape: Shape,
  visit: (weight: number, range: TapRange, outStart: number, inStart: number) => void,
): void {
  const { weight, kernel, groups } = node
  const [channels, height, width] = node.shape
  const area = inShape[1] * inShape[2]
  const taps = tapRanges(node, inShape)
  const perGroup = weight.length / (channels * kernel ** 2)
  let index = 0
  for (let o = 0; o < channels; o++) {
    for (let i = 0; i < perGroup; i++) {
      const channel = groups === 1 ? i : o % groups
      for (const range of taps) visit(weight[index++], range, o * height * width, channel * area)
    }
  }
}

/** The range of each kernel position, in the order of a kernel's weights. */
export function tapRanges(
  { kernel, stride, padding, dilation, shape }: ConvNode,
  inShape: Shape,
): TapRange[] {
  const [, height, width] = shape
  const [, inHeight, inWidth] = inShape
  /** Outputs whose input index `stride * output + offset` lies in 0 .. inSize - 1. */
  const reach = (offset: number, inSize: number, size: number): [from: number, to: number] => [
    Math.max(0, Math.ceil(-offset / stride)),
    Math.min(size, Math.floor((inSize - 1 - offset) / stride) + 1),
  ]
  return Array.from({ length: kernel * kernel }, (_, tap) => {
    const dy = Math.floor(tap / kernel) * dilation - padding
    const dx = (tap % kernel) * dilation - padding
    const [top, bottom] = reach(dy, inHeight, height)
    const [left, right] = reach(dx, inWidth, width)
    return {
      top,
      bottom,
      left,
      right,
      shift: dy * inWidth + dx,
      outRow: width,
      inRow: stride * inWidth,
      inColumn: stride,
    }
  })
}

/** out[y, x] += weight * input[stride * (y, x) + tap], in maps that begin at the given places. */
function addTap(
  weight: number,
  { top, bottom, left, right, shift, outRow, inRow, inColumn }: TapRange,
  out: Float64Array,
  outStart: number,
  input: Float64Array,
  inStart: number,
): void {
  for (let y = top; y < bottom; y++) {
    const end = outStart + y * outRow + right
    let from = inStart + y * inRow + left * inColumn + shift
    for (let to = outStart + y * outRow + left; to < end; to++) {
      out[to] += weight * input[from]
      from += inColumn
    }
  }
}

/** input[stride * (y, x) + tap] += weight * out[y, x]. */
function addTapBack(
  weight: number,
  { top, bottom, left, right, shift, outRow, inRow, inColumn }: TapRange,
  out: Float64Array,
  outStart: number,
  input: Float64Array,
  inStart: number,
): void {
  for (let y = top; y < bottom; y++) {
    const end = outStart + y * outRow + right
    let from = inStart + y * inRow + left * inColumn + shift
    for (let to = outStart + y * outRow + left; to < end; to++) {
      input[from] += weight * out[to]
      from += inColumn
    }
  }
}
