import type { Layout } from '../../circuit/types.ts'
import type { ConvNode } from '../graph/graph.ts'

/**
 * A kernel element (ky, kx), with the distance (dy, dx) from an output position to the input position it
 * reads.
 */
export interface Tap {
  readonly ky: number
  readonly kx: number
  readonly dy: number
  readonly dx: number
}

/** The taps of a convolution, row by row. */
export function tapsOf(node: Pick<ConvNode, 'kernel' | 'dilation' | 'padding'>): Tap[] {
  const taps: Tap[] = []
  for (let ky = 0; ky < node.kernel; ky++) {
    for (let kx = 0; kx < node.kernel; kx++) {
      taps.push({ ky, kx, dy: ky * node.dilation - node.padding, dx: kx * node.dilation - node.padding })
    }
  }
  return taps
}

/** Largest distance of a tap from its output position, in either direction. */
export const reachOf = (taps: readonly Tap[]): number =>
  taps.reduce((reach, { dy, dx }) => Math.max(reach, Math.abs(dy), Math.abs(dx)), 0)

/** Whether a tap reads beyond the input's map at every position of the output's map. */
export const missesMap = (
  { dy, dx }: Tap,
  stride: number,
  input: Pick<Layout, 'height' | 'width'>,
  output: Pick<Layout, 'height' | 'width'>,
): boolean =>
  dy >= input.height ||
  dx >= input.width ||
  dy + (output.height - 1) * stride < 0 ||
  dx + (output.width - 1) * stride < 0

/**
 * Whether every tap beyond the map reads a position without an element. The zeros there do the padding, and
 * the weights need no mask. Positions wrap around like slots.
 *
 * @param layout of the input; the outputs are at every `stride`-th position
 */
export function guardsSuffice(
  layout: Layout,
  taps: readonly Tap[],
  stride: number,
  positions: number,
): boolean {
  const occupied = occupiedPositions(layout, positions)
  const { height, width } = layout
  const reach = reachOf(taps)
  // Taps of elements further from the border than the reach stay within the map.
  const isInner = (at: number, size: number): boolean => at >= reach && at + reach < size
  for (let y = 0; y < height; y += stride) {
    for (let x = 0; x < width; x += stride) {
      if (isInner(y, height) && isInner(x, width)) continue
      for (const { dy, dx } of taps) {
        const inside = y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width
        if (!inside && occupied[wrap(positionOf(layout, y + dy, x + dx), positions)] === 1) return false
      }
    }
  }
  return true
}

/** Position of element (y, x), which may lie outside the map. */
export const positionOf = (layout: Layout, y: number, x: number): number =>
  layout.offset + y * layout.rowStride + x * layout.columnStride

/** 1 at every position with an element, and 0 elsewhere. */
export function occupiedPositions(layout: Layout, positions: number): Uint8Array {
  const occupied = new Uint8Array(positions)
  for (let y = 0; y < layout.height; y++) {
    for (let x = 0; x < layout.width; x++) occupied[positionOf(layout, y, x)] = 1
  }
  return occupied
}

/** index modulo size, never negative. */
export const wrap = (index: number, size: number): number => ((index % size) + size) % size
