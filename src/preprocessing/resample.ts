import type { Plane } from './planes.ts'

/** The samples of one line that make one output sample: consecutive ones from `first`, with their weights. */
export interface Footprint {
  readonly first: number
  readonly weights: readonly number[]
}

/**
 * One step of a separable resize: the footprint of each output sample, and the conversion of each weighted
 * sum.
 */
export interface Resampling {
  /** `first` and the end of a footprint never decrease from one sample to the next. */
  footprint(sample: number, inSize: number, outSize: number): Footprint
  /** @returns a value from 0 to 255 */
  finish(sum: number): number
}

/** Consecutive samples of a resized line. */
export interface Span {
  /** Samples of the whole resized line. */
  readonly size: number
  readonly first: number
  readonly count: number
}

/**
 * A part of a resized plane: resized horizontally, then vertically, then cut out. Only the part is computed,
 * so that time and memory depend on it and on the source, and not on the size of the whole.
 *
 * @returns a plane of `rows.count` by `columns.count` samples
 */
export function resample(source: Plane, rows: Span, columns: Span, { footprint, finish }: Resampling): Plane {
  const across = footprints(source.width, columns, footprint)
  const down = footprints(source.height, rows, footprint)
  const width = columns.count
  const data = new Float64Array(rows.count * width)
  const line = new Float64Array(width)
  let begun = 0
  let done = 0
  for (let y = down[0].first; done < down.length; y++) {
    while (begun < down.length && down[begun].first <= y) begun++
    while (done < begun && endOf(down[done]) <= y) done++
    if (done === begun) continue
    for (const [x, { first, weights }] of across.entries()) {
      let sum = 0
      const start = y * source.width + first
      for (let k = 0; k < weights.length; k++) sum += source.data[start + k] * weights[k]
      line[x] = finish(sum)
    }
    for (let row = done; row < begun; row++) {
      const weight = down[row].weights[y - down[row].first]
      for (let x = 0; x < width; x++) data[row * width + x] += line[x] * weight
    }
  }
  for (let i = 0; i < data.length; i++) data[i] = finish(data[i])
  return { width, height: rows.count, data }
}

const footprints = (
  inSize: number,
  { size, first, count }: Span,
  footprint: Resampling['footprint'],
): Footprint[] => Array.from({ length: count }, (_, i) => footprint(first + i, inSize, size))

const endOf = ({ first, weights }: Footprint): number => first + weights.length
