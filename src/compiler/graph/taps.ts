import type { NodeOf, PositionedTap, Shape } from './graph.ts'
import { cachedRootMeanSquare } from './statistics.ts'

/** Sum over taps of channel[c] * position[at] * x[c, at + tap]. @param x [C, H, W] of the node's shape */
export function applyTaps(node: Pick<NodeOf<'taps'>, 'taps' | 'shape'>, x: Float64Array): Float64Array {
  const out = new Float64Array(x.length)
  for (const tap of node.taps) {
    eachRead(node.shape, tap, (to, from, factor) => {
      out[to] += factor * x[from]
    })
  }
  return out
}

/** The transpose of `applyTaps` as a linear map. @param gradient with respect to the output */
export function applyTapsTransposed(
  node: Pick<NodeOf<'taps'>, 'taps' | 'shape'>,
  gradient: Float64Array,
): Float64Array {
  const out = new Float64Array(gradient.length)
  for (const tap of node.taps) {
    eachRead(node.shape, tap, (to, from, factor) => {
      out[from] += factor * gradient[to]
    })
  }
  return out
}

/** The elements that a tap reads, at the places of the outputs; 0 beyond the map. */
export function tapped(x: Float64Array, shape: Shape, tap: PositionedTap): Float64Array {
  const out = new Float64Array(x.length)
  eachRead(shape, tap, (to, from) => {
    out[to] = x[from]
  })
  return out
}

/** Visits the reads of a tap within the map. */
function eachRead(
  [channels, height, width]: Shape,
  { dy, dx, channel, position }: PositionedTap,
  visit: (to: number, from: number, factor: number) => void,
): void {
  const [top, bottom] = [Math.max(0, -dy), Math.min(height, height - dy)]
  const [left, right] = [Math.max(0, -dx), Math.min(width, width - dx)]
  for (let c = 0; c < channels; c++) {
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const at = y * width + x
        const to = c * height * width + at
        visit(to, to + dy * width + dx, channel[c] * position[at])
      }
    }
  }
}

/** Mean square of an output for independent inputs of mean square 1. */
export const meanSquareOfTaps = ({ taps }: Pick<NodeOf<'taps'>, 'taps'>): number =>
  taps.reduce(
    (sum, { channel, position }) =>
      sum + (cachedRootMeanSquare(channel) * cachedRootMeanSquare(position)) ** 2,
    0,
  )

/**
 * Directions of the quarters: the position that an output reads lies above, below, left or right of its own.
 */
const DIRECTIONS = [
  { dy: -1, dx: 0 },
  { dy: 1, dx: 0 },
  { dy: 0, dx: -1 },
  { dy: 0, dx: 1 },
]

/**
 * The taps of a shift of quarters by one position (MONet). Each quarter has one tap that reads the neighbour,
 * and one that reads the element itself where the map has no neighbour. The last quarter has the channels
 * that do not divide by 4.
 */
export function shiftTaps([channels, height, width]: Shape): PositionedTap[] {
  const quarter = Math.floor(channels / 4)
  return DIRECTIONS.flatMap(({ dy, dx }, q) => {
    const [from, to] = [q * quarter, q === 3 ? channels : (q + 1) * quarter]
    if (from === to) return []
    const channel = new Float64Array(channels).fill(1, from, to)
    const inside = Float64Array.from({ length: height * width }, (_, at) => {
      const [y, x] = [Math.floor(at / width) + dy, (at % width) + dx]
      return y >= 0 && y < height && x >= 0 && x < width ? 1 : 0
    })
    const border = inside.map((own) => 1 - own)
    return [
      { dy, dx, channel, position: inside },
      { dy: 0, dx: 0, channel, position: border },
    ]
  })
}
