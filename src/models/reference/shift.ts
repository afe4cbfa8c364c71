import type { Tensor } from './tensor.ts'

/** Where a quarter's elements come from: one row up or down, or one column left or right. */
const SOURCES: readonly (readonly [dy: number, dx: number])[] = [
  [-1, 0],
  [1, 0],
  [0, -1],
  [0, 1],
]

/**
 * Moves the quarters of the channels down, up, right and left by one position (MONet, arXiv 2401.17992). The
 * row or column at the border that has no source keeps its own value.
 */
export function shiftQuarters(x: Tensor): Tensor {
  const [channels, height, width] = x.shape
  const quarter = Math.floor(channels / 4)
  const data = new Float64Array(x.data.length)
  for (let c = 0, at = 0; c < channels; c++) {
    const [dy, dx] = SOURCES[Math.floor(c / quarter)] ?? [0, 0]
    for (let y = 0; y < height; y++) {
      for (let column = 0; column < width; column++, at++) {
        const [sy, sx] = [y + dy, column + dx]
        const inside = sy >= 0 && sy < height && sx >= 0 && sx < width
        data[at] = x.data[inside ? (c * height + sy) * width + sx : at]
      }
    }
  }
  return { shape: x.shape, data }
}
