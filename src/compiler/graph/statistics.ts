/** Square root of the mean of squares; 0 for an empty vector. */
export function rootMeanSquare(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i]
  return values.length === 0 ? 0 : Math.sqrt(sum / values.length)
}

const known = new WeakMap<Float64Array, number>()

/**
 * The same of a vector that never changes, as those of graphs: worked out once, however many drafts ask for
 * it.
 */
export function knownRootMeanSquare(values: Float64Array): number {
  const before = known.get(values)
  if (before !== undefined) return before
  const size = rootMeanSquare(values)
  known.set(values, size)
  return size
}

/** Root mean square of the distances from the mean; 0 for an empty vector. */
export function deviation(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return rootMeanSquare(values.map((value) => value - mean))
}

/** Of positive values; 0 where one of them is. */
export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)

/** Largest absolute value; 0 for an empty vector. */
export function peak(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]))
  return largest
}

/** What the noise model needs to know of a constant. */
export interface ConstantStatistics {
  readonly period: number
  /** Root mean square of the values in slots where the sum that they are weights of has elements. */
  readonly gain: number
  /** Whether encoding it rounds nothing. */
  readonly exact?: boolean
}
