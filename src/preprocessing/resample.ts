import type { Plane } from './planes.ts'

/** The samples of one line that make one output sample: consecutive ones from `first`, with their weights. */
export interface Footprint {
  readonly first: number
  readonly weights: readonly number[]
}

/** One step of a separable resize: the footprints of a line, and what becomes of each weighted sum. */
export interface Resampling {
  footprints(inSize: number, outSize: number): Footprint[]
  finish(sum: number): number
}

/** Resizes a plane horizontally, then vertically; a direction whose size stays is left alone. */
export function resample(source: Plane, height: number, width: number, method: Resampling): Plane {
  const wide = width === source.width ? source : resampleRows(source, width, method)
  if (height === source.height) return wide
  return transpose(resampleRows(transpose(wide), height, method))
}

function resampleRows(source: Plane, width: number, { footprints, finish }: Resampling): Plane {
  const columns = footprints(source.width, width)
  const data = new Float64Array(source.height * width)
  for (let y = 0; y < source.height; y++) {
    for (const [x, { first, weights }] of columns.entries()) {
      let sum = 0
      const start = y * source.width + first
      for (let k = 0; k < weights.length; k++) sum += source.data[start + k] * weights[k]
      data[y * width + x] = finish(sum)
    }
  }
  return { width, height: source.height, data }
}

function transpose({ width, height, data }: Plane): Plane {
  const turned = new Float64Array(data.length)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) turned[x * height + y] = data[y * width + x]
  }
  return { width: height, height: width, data: turned }
}
