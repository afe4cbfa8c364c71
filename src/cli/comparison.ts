/** Differences between logits and the expected ones. */
export interface Comparison {
  readonly maxAbsError: number
  readonly rmsError: number
  /** log2 of the root mean square of the expected values over that of the errors. */
  readonly precisionBits: number
  /** Fraction of images whose largest logit has the expected index. */
  readonly top1Agreement: number
}

/** @param actual, expected rows of one length each, in the same order; every figure of no rows is NaN */
export function compare(actual: readonly Float64Array[], expected: readonly Float64Array[]): Comparison {
  const errors = actual.flatMap((row, k) => Array.from(row, (value, i) => value - expected[k][i]))
  const rmsError = rootMeanSquare(errors)
  const agreeing = actual.filter((row, k) => argmax(row) === argmax(expected[k]))
  return {
    maxAbsError: actual.length > 0 ? errors.reduce(largerMagnitude, 0) : Number.NaN,
    rmsError,
    precisionBits: Math.log2(rootMeanSquare(expected.flatMap((row) => [...row])) / rmsError),
    top1Agreement: agreeing.length / actual.length,
  }
}

/** Maximum that keeps NaN, so that NaN never passes as a small error. */
const largerMagnitude = (most: number, value: number): number => Math.max(most, Math.abs(value))

const rootMeanSquare = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)

/** Index of the largest value. */
export const argmax = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((best, value, i) => (value > values[best] ? i : best), 0)

/**
 * Deviations of its own by which a root mean square is allowed to exceed what it is one of: never seen by
 * chance.
 */
const CHANCE = 4

/**
 * The largest root mean square of so many normal errors that chance explains; that of n has a deviation of 1
 * / sqrt(2 n) of theirs, about. The flooding noise of a single image is ten such numbers.
 */
export const rmsWithin = (deviation: number, count: number): number =>
  deviation * (1 + CHANCE / Math.sqrt(2 * count))
