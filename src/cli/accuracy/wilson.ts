/** A share of a number of trials with its 95 % interval, all from 0 to 1; NaN without trials. */
export interface Share {
  readonly count: number
  readonly value: number
  readonly low: number
  readonly high: number
}

/** Standard deviations of a normal distribution that hold 95 % of it. */
const Z = 1.959964

/**
 * The share of successes, with the Wilson score interval, which also holds for few trials and for shares near
 * 0 and 1.
 */
export function wilson(count: number, trials: number): Share {
  const value = count / trials
  const square = (Z * Z) / trials
  const centre = (value + square / 2) / (1 + square)
  const half = (Z * Math.sqrt((value * (1 - value)) / trials + square / (4 * trials))) / (1 + square)
  return { count, value, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}
