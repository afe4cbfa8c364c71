/** Square root of the mean of squares; 0 for an empty vector. */
export function rootMeanSquare(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i]
  return values.length === 0 ? 0 : Math.sqrt(sum / values.length)
}

const cache = new WeakMap<Float64Array, number>()

/** Root mean square of a vector that never changes, as the vectors of graphs. It is computed once. */
export function cachedRootMeanSquare(values: Float64Array): number {
  const before = cache.get(values)
  if (before !== undefined) return before
  const size = rootMeanSquare(values)
  cache.set(values, size)
  return size
}

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
