import { operandsOf } from '../../circuit/operands.ts'
import type { Op } from '../../circuit/types.ts'

/**
 * Seconds of the evaluator's operations as functions of the ring N and the number n of data primes:
 * key switching is quadratic in n, all else linear; everything grows with N, key switching with N log N.
 * The coefficients are node-seal's at N = 16384, fitted at n = 3 and n = 6 (see docs/performance.md).
 */
export interface CostModel {
  /** Per prime pair and per prime of a key switch at the reference ring. */
  readonly keySwitchPair: number
  readonly keySwitchPrime: number
  /** Per prime: one weighted summand, one addition, one product, one rescale. */
  readonly term: number
  readonly add: number
  readonly multiply: number
  readonly rescale: number
}

export const SEAL_COSTS: CostModel = Object.freeze({
  keySwitchPair: 0.294e-3,
  keySwitchPrime: 1.32e-3,
  term: 0.36e-3,
  add: 0.06e-3,
  multiply: 0.49e-3,
  rescale: 0.66e-3,
})

const REFERENCE_RING = 16384

/** Estimated seconds of one operation on one core. */
export function opSeconds(op: Op, operandLevel: number, ring: number, costs: CostModel): number {
  const n = operandLevel + 1
  const linear = ring / REFERENCE_RING
  const transform = linear * (Math.log2(ring) / Math.log2(REFERENCE_RING))
  switch (op.kind) {
    case 'rotate':
    case 'relinearise':
      return transform * (costs.keySwitchPair * n * (n + 1) + costs.keySwitchPrime * n)
    case 'dot':
      return linear * n * costs.term * op.terms.length
    case 'multiply':
      return linear * n * costs.multiply
    case 'rescale':
      return transform * n * costs.rescale
    case 'add':
    case 'subtract':
    case 'addPlain':
      return linear * n * costs.add
    default:
      return 0
  }
}

/** Estimated seconds of a circuit on one core; `unusedLevels` of a draft's chain do not count. */
export function circuitSeconds(
  ops: readonly Op[],
  ring: number,
  unusedLevels = 0,
  costs: CostModel = SEAL_COSTS,
): number {
  let seconds = 0
  for (const op of ops) {
    const [operand] = operandsOf(op)
    const level = operand === undefined ? op.level : ops[operand].level
    seconds += opSeconds(op, level - unusedLevels, ring, costs)
  }
  return seconds
}
