import type { Plane } from './planes.ts'

/** The samples of one line that make one output sample: consecutive ones from `first`, with their weights. */
export interface Footprint {
  readonly first: number
  readonly weights: readonly number[]
}

/** One step of a separable resize: the footprint of an output sample, and what becomes of each weighted sum. */
export interface Resampling {
  footprint(x: number, inSize: number, outSize: number): Footprint
  finish(sum: number): number
}

/** A rectangle of pixels. */
export interface Window {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
}

/**
 * Resizes a plane to `height` x `width`, horizontally, then vertically; a direction whose size stays is left alone. Only
 * the samples within the window are computed: a long image whose centre is cropped costs no more than its centre.
 *
 * @param window within the resized plane
 * @returns a plane of the window's size
 */
export function resample(
  source: Plane,
  height: number,
  width: number,
  method: Resampling,
  window: Window = { top: 0, left: 0, height, width },
): Plane {
  const wide = resampleRows(source, width, method, window.left, window.width)
  return transpose(resampleRows(transpose(wide), height, method, window.top, window.height))
}

/** Columns `from` to `from + count` of the plane with its rows resized to `width`. */
function resampleRows(
  source: Plane,
  width: number,
  { footprint, finish }: Resampling,
  from: number,
  count: number,
): Plane {
  if (width === source.width) return columns(source, from, count)
  const footprints = Array.from({ length: count }, (_, x) => footprint(from + x, source.width, width))
  const data = new Float64Array(source.height * count)
  for (let y = 0; y < source.height; y++) {
    for (const [x, { first, weights }] of footprints.entries()) {
      let sum = 0
      const start = y * source.width + first
      for (let k = 0; k < weights.length; k++) sum += source.data[start + k] * weights[k]
      data[y * count + x] = finish(sum)
    }
  }
  return { width: count, height: source.height, data }
}

function columns(source: Plane, from: number, count: number): Plane {
  if (count === source.width) return source
  const data = new Float64Array(source.height * count)
  for (let y = 0; y < source.height; y++) {
    const start = y * source.width + from
    data.set(source.data.subarray(start, start + count), y * count)
  }
  return { width: count, height: source.height, data }
}

function transpose({ width, height, data }: Plane): Plane {
  const turned = new Float64Array(data.length)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) turned[x * height + y] = data[y * width + x]
  }
  return { width: height, height: width, data: turned }
}
