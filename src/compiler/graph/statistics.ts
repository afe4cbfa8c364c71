/** Square root of the mean of squares; 0 for an empty vector. */
export function rootMeanSquare(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i]
  return values.length === 0 ? 0 : Math.sqrt(sum / values.length)
}

/** A function of vectors that never change, as the vectors of graphs. It is computed once for each vector. */
function cached(of: (values: Float64Array) => number): (values: Float64Array) => number {
  const known = new WeakMap<Float64Array, number>()
  return (values) => {
    const before = known.get(values)
    if (before !== undefined) return before
    const value = of(values)
    known.set(values, value)
    return value
  }
}

/** Root mean square of a vector that never changes. */
export const cachedRootMeanSquare = cached(rootMeanSquare)

/** Number of elements other than 0 of a vector that never changes. */
export const cachedNonzeros = cached((values) =>
  values.reduce((count, value) => count + Number(value !== 0), 0),
)

/** Root mean square of the distances from the mean; 0 for an empty vector. */
export function deviation(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return rootMeanSquare(values.map((value) => value - mean))
}

/** Geometric mean of nonnegative values; 0 when a value is 0. */
export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)

/** Largest absolute value; 0 for an empty vector. */
export function peak(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]))
  return largest
}

/** The facts about a constant that the noise model reads. */
export interface ConstantStatistics {
  readonly period: number
  /** Root mean square of the values in the slots where the weighted sum has elements. */
  readonly gain: number
  /**
   * Variance of the error that rounding makes in a weight of the layer, by that of an encoded real constant.
   */
  readonly rounding: number
  /** Whether the constant is encoded without rounding. */
  readonly exact?: boolean
}
