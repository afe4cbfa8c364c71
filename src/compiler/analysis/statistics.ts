/** Square root of the mean of squares; 0 for an empty vector. */
export function rootMeanSquare(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i]
  return values.length === 0 ? 0 : Math.sqrt(sum / values.length)
}

/** Largest absolute value; 0 for an empty vector. */
export function peak(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]))
  return largest
}

/** What the noise model needs to know of a constant. */
export interface ConstantStatistics {
  readonly period: number
  /** Root mean square of the values. */
  readonly gain: number
  /** Whether encoding it rounds nothing. */
  readonly exact?: boolean
}
