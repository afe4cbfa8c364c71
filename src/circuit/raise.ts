import { EPHEMERAL_WEIGHT } from './parameters/ephemeral.ts'
import type { Circuit } from './types.ts'

// Raising a modulus is the first half of bootstrapping. A ciphertext modulo Q, the modulus of the raise
// level, is read modulo all primes. It then decrypts to m + Q I for an integer polynomial I. The server
// switches the ciphertext to an ephemeral secret before, whose few coefficients keep I small, and back to the
// client's secret afterwards.
//
// Source: Cheon, Han, Kim, Kim and Song, "Bootstrapping for Approximate Homomorphic Encryption", ePrint
// 2018/153.

/**
 * The chance that a raised value of an inference is beyond its bound is at most 2 to the power of minus this.
 */
export const RAISE_FAILURE_BITS = 40

/**
 * Terms of a raised coefficient: one for each coefficient of the ephemeral secret, and that of the first
 * polynomial.
 */
const TERMS = EPHEMERAL_WEIGHT + 1

/** No raised coefficient is larger, in multiples of Q. */
export const LARGEST_RAISED = TERMS / 2

/**
 * Upper bound of log2 of the chance that a coefficient of a raised value exceeds `bound` times Q in absolute
 * value. The coefficient is a sum of `TERMS` numbers that are uniform between -Q/2 and Q/2. The sum's
 * distribution is that of Irwin and Hall, whose tail beyond x is at most (n/2 - x)^n / n! on each side.
 */
export function beyondBoundBits(bound: number): number {
  const rest = LARGEST_RAISED - bound
  if (rest <= 0) return Number.NEGATIVE_INFINITY
  let factorial = 0
  for (let k = 2; k <= TERMS; k++) factorial += Math.log2(k)
  return 1 + TERMS * Math.log2(rest) - factorial
}

/**
 * Upper bound of log2 of the chance that a coefficient of an inference exceeds the bound of its circuit;
 * minus infinity where nothing is raised.
 */
export function raiseFailure({
  ops,
  parameters,
  raise,
}: Pick<Circuit, 'ops' | 'parameters' | 'raise'>): number {
  const raised = ops.reduce((sum, { kind }) => sum + Number(kind === 'raise'), 0)
  if (raise === undefined || raised === 0) return Number.NEGATIVE_INFINITY
  return Math.log2(raised * parameters.ring) + beyondBoundBits(raise.bound)
}

/**
 * Slots after which values repeat where the transform between slots and coefficients has these stages, by
 * group. Each stage doubles them.
 */
export const slotsOfStages = (stages: readonly number[]): number =>
  2 ** stages.reduce((sum, count) => sum + count, 0)

/** Grain of bounds. */
const BOUND_GRAIN = 1 / 4

/** The least bound for which the chance of an inference with so many raised values is small enough. */
export function raiseBound(ring: number, raised: number): number {
  let bound = BOUND_GRAIN
  while (Math.log2(raised * ring) + beyondBoundBits(bound) > -RAISE_FAILURE_BITS) bound += BOUND_GRAIN
  return bound
}
