import { PolyVeilError } from '../errors/index.ts'
import { partsOf } from './constants/slot-vector.ts'
import type { Layout, SlotVector } from './types.ts'

/** Slot of element (c, y, x) within its ciphertext. */
export function slotOf(layout: Layout, c: number, y: number, x: number): number {
  const position = layout.offset + y * layout.rowStride + x * layout.columnStride
  return position * layout.interleave + laneOf(layout, c)
}

/** Lane of channel c: the slot within each position. */
export const laneOf = (layout: Layout, c: number): number =>
  Math.floor((c % layout.channelsPerCiphertext) / layout.parts)

/** The part of a slot that holds channel c: 0 for the real part, 1 for the imaginary one. */
export const partOf = (layout: Layout, c: number): number => (c % layout.channelsPerCiphertext) % layout.parts

/** Index of the ciphertext that holds channel c. */
export const ciphertextOf = (layout: Layout, c: number): number =>
  Math.floor(c / layout.channelsPerCiphertext)

/** Number of the channels that ciphertext `index` holds. */
export const channelsIn = (layout: Layout, index: number): number =>
  Math.min(layout.channelsPerCiphertext, layout.channels - index * layout.channelsPerCiphertext)

/** Number of the lanes of ciphertext `index` that hold channels. */
export const lanesIn = (layout: Layout, index: number): number =>
  Math.ceil(channelsIn(layout, index) / layout.parts)

/** Channels in each slot of a tensor. A slot of two has them in its real and its imaginary part. */
export const partsFor = (channels: number): 1 | 2 => (channels > 1 ? 2 : 1)

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
 * @returns one vector of `slots` numbers for each ciphertext, complex ones where slots hold two channels;
 *   slots without an element are zero
 */
export function pack(layout: Layout, tensor: ArrayLike<number>, slots: number): SlotVector[] {
  const { channels, height, width, ciphertexts, parts } = layout
  if (tensor.length !== channels * height * width) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `A tensor of ${tensor.length} values does not fill [${channels}, ${height}, ${width}]`,
    )
  }
  const vectors = Array.from({ length: ciphertexts }, () => zeroSlots(slots, parts))
  eachElement(layout, vectors, (part, slot, index) => {
    part[slot] = tensor[index]
  })
  return vectors
}

/** Reads a tensor from slot vectors: the inverse of `pack`. Slots without an element are ignored. */
export function unpack(layout: Layout, vectors: readonly SlotVector[]): Float64Array {
  const { channels, height, width } = layout
  const tensor = new Float64Array(channels * height * width)
  eachElement(layout, vectors, (part, slot, index) => {
    tensor[index] = part[slot]
  })
  return tensor
}

const zeroSlots = (slots: number, parts: 1 | 2): SlotVector =>
  parts === 1
    ? new Float64Array(slots)
    : { real: new Float64Array(slots), imaginary: new Float64Array(slots) }

/** Visits the elements of a tensor, row-major, with the part of the slot vector and the slot of each. */
function eachElement(
  layout: Layout,
  vectors: readonly SlotVector[],
  visit: (part: Float64Array, slot: number, index: number) => void,
): void {
  const { channels, height, width } = layout
  let index = 0
  for (let c = 0; c < channels; c++) {
    const part = partsOf(vectors[ciphertextOf(layout, c)])[partOf(layout, c)]
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) visit(part, slotOf(layout, c, y, x), index++)
    }
  }
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
