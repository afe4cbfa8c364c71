import type { Tensor } from './tensor.ts'

/**
 * Where the elements of each quarter come from: the row above or below, or the column left or right of them.
 */
const SOURCES: readonly (readonly [dy: number, dx: number])[] = [
  [-1, 0],
  [1, 0],
  [0, -1],
  [0, 1],
]

/**
 * Moves the quarters of the channels down, up, right and left by one position (MONet, arXiv 2401.17992). The
 * row or column at the border that has no source keeps its own value. The last quarter has the channels that
 * do not divide by 4, and with fewer than 4 channels it has all of them.
 */
export function shiftQuarters(x: Tensor): Tensor {
  const [channels, height, width] = x.shape
  const quarter = Math.floor(channels / 4)
  const data = new Float64Array(x.data.length)
  for (let c = 0, at = 0; c < channels; c++) {
    const [dy, dx] = SOURCES[quarter === 0 ? 3 : Math.min(3, Math.floor(c / quarter))]
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
