import { outputSize } from '../kernel.ts'
import type { Convolution } from '../layers.ts'
import type { Tensor } from './tensor.ts'

/** Where one kernel position meets the input: the outputs it reaches, and how far the input is shifted. */
interface Tap {
  readonly top: number
  readonly bottom: number
  readonly left: number
  readonly right: number
  /** Input index that belongs to output (0, 0); it may lie outside the input. */
  readonly shift: number
}

/**
 * A convolution with zero padding, accumulated in float64. Its bias is added behind the padding.
 *
 * Each weight adds a shifted, strided copy of one input channel to one output channel, so one loop serves
 * dense, depthwise, dilated and strided convolutions.
 *
 * @param x [inChannels, H, W]
 */
export function convolve(layer: Convolution, x: Tensor): Tensor {
  const [, inHeight, inWidth] = x.shape
  const height = outputSize(inHeight, layer)
  const width = outputSize(inWidth, layer)
  const data = new Float64Array(layer.outChannels * height * width)
  // A pointwise convolution sees each map as one long row, which saves the loop over short rows.
  const flat = layer.kernel === 1 && layer.stride === 1 && layer.padding === 0
  const [rows, columns, inColumns] = flat ? [1, height * width, inHeight * inWidth] : [height, width, inWidth]
  const taps = kernelTaps(layer, [flat ? 1 : inHeight, inColumns], [rows, columns])
  const inPerGroup = layer.inChannels / layer.groups
  const outPerGroup = layer.outChannels / layer.groups

  let index = 0
  for (let o = 0; o < layer.outChannels; o++) {
    const output = data.subarray(o * height * width, (o + 1) * height * width)
    if (layer.bias) output.fill(layer.bias[o])
    const firstInput = Math.floor(o / outPerGroup) * inPerGroup
    for (let i = firstInput; i < firstInput + inPerGroup; i++) {
      const input = x.data.subarray(i * inHeight * inWidth, (i + 1) * inHeight * inWidth)
      for (const tap of taps) {
        addTap(layer.weight[index++], tap, input, layer.stride * inColumns, layer.stride, output, columns)
      }
    }
  }
  return { shape: [layer.outChannels, height, width], data }
}

function kernelTaps(
  { kernel, stride, padding, dilation }: Convolution,
  [inHeight, inWidth]: readonly [number, number],
  [height, width]: readonly [number, number],
): Tap[] {
  /** Outputs whose input index `stride * output + offset` lies in 0 .. inSize - 1. */
  const reach = (offset: number, inSize: number, size: number): [from: number, to: number] => [
    Math.max(0, Math.ceil(-offset / stride)),
    Math.min(size, Math.floor((inSize - 1 - offset) / stride) + 1),
  ]
  return Array.from({ length: kernel * kernel }, (_, k) => {
    const dy = Math.floor(k / kernel) * dilation - padding
    const dx = (k % kernel) * dilation - padding
    const [top, bottom] = reach(dy, inHeight, height)
    const [left, right] = reach(dx, inWidth, width)
    return { top, bottom, left, right, shift: dy * inWidth + dx }
  })
}

/** output[y, x] += weight * input[stride * (y, x) + tap]; the inner loop of the whole reference. */
function addTap(
  weight: number,
  { top, bottom, left, right, shift }: Tap,
  input: Float64Array,
  inputRow: number,
  inputColumn: number,
  output: Float64Array,
  outputRow: number,
): void {
  for (let y = top; y < bottom; y++) {
    const end = y * outputRow + right
    let from = y * inputRow + left * inputColumn + shift
    for (let to = y * outputRow + left; to < end; to++) {
      output[to] += weight * input[from]
      from += inputColumn
    }
  }
}
