import { PolyVeilError } from '../errors/index.ts'
import type { Layout } from './types.ts'

/** Slot of element (c, y, x) within its ciphertext. */
export function slotOf(layout: Layout, c: number, y: number, x: number): number {
  const position = layout.offset + y * layout.rowStride + x * layout.columnStride
  return position * layout.interleave + (c % layout.channelsPerCiphertext)
}

/** Index of the ciphertext that holds channel c. */
export const ciphertextOf = (layout: Layout, c: number): number =>
  Math.floor(c / layout.channelsPerCiphertext)

/** Number of the channels that ciphertext `index` holds. */
export const channelsIn = (layout: Layout, index: number): number =>
  Math.min(layout.channelsPerCiphertext, layout.channels - index * layout.channelsPerCiphertext)

/**
 * Whether every element of a layout has a slot of its own, given that channels of a position have. Elements
 * (y, x) and (y', x') share a position where (y' - y) rowStride = (x - x') columnStride. The smallest such
 * distance is columnStride / g rows and rowStride / g columns, where g is the greatest common divisor of the
 * strides.
 */
export function isApart({ height, width, rowStride, columnStride }: Layout): boolean {
  const g = greatestCommonDivisor(rowStride, columnStride)
  return columnStride / g >= height || rowStride / g >= width
}

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b)

/**
 * Packs a tensor into slot vectors.
 *
 * @param tensor [C, H, W] of the layout, row-major
 * @returns one vector of `slots` values for each ciphertext; slots without an element are zero
 */
export function pack(layout: Layout, tensor: ArrayLike<number>, slots: number): Float64Array[] {
  const { channels, height, width } = layout
  if (tensor.length !== channels * height * width) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `A tensor of ${tensor.length} values does not fill [${channels}, ${height}, ${width}]`,
    )
  }
  const vectors = Array.from({ length: layout.ciphertexts }, () => new Float64Array(slots))
  let index = 0
  for (let c = 0; c < channels; c++) {
    const vector = vectors[ciphertextOf(layout, c)]
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) vector[slotOf(layout, c, y, x)] = tensor[index++]
    }
  }
  return vectors
}

/** Reads a tensor from slot vectors: the inverse of `pack`. Slots without an element are ignored. */
export function unpack(layout: Layout, vectors: readonly Float64Array[]): Float64Array {
  const { channels, height, width } = layout
  const tensor = new Float64Array(channels * height * width)
  let index = 0
  for (let c = 0; c < channels; c++) {
    const vector = vectors[ciphertextOf(layout, c)]
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) tensor[index++] = vector[slotOf(layout, c, y, x)]
    }
  }
  return tensor
}

/**
 * Cuts a tensor into patches: out[(c * s + py) * s + px][y][x] = in[c][y * s + py][x * s + px], zero where
 * the padded image has no pixel. A strided convolution becomes one of stride 1 on the result.
 *
 * @param tensor [C, H, W], row-major
 * @returns [C * s * s, ceil(H / s), ceil(W / s)]
 */
export function spaceToDepth(
  tensor: ArrayLike<number>,
  [channels, height, width]: readonly [number, number, number],
  s: number,
): Float64Array {
  const rows = Math.ceil(height / s)
  const columns = Math.ceil(width / s)
  const out = new Float64Array(channels * s * s * rows * columns)
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const channel = (c * s + (y % s)) * s + (x % s)
        const index = (channel * rows + Math.floor(y / s)) * columns + Math.floor(x / s)
        out[index] = tensor[(c * height + y) * width + x]
      }
    }
  }
  return out
}
