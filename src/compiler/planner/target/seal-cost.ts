import { operandsOf } from '../../../circuit/operands.ts'
import type { Op } from '../../../circuit/types.ts'
import { type CostModel, REFERENCE_RING, transformGrowth } from '../../../schedule/cost-model.ts'

/**
 * Coefficients of the seconds of node-seal's operations, at N = 16384. Key switching is quadratic in the
 * number n of data primes and grows with N log N. Other operations are linear in n. The coefficients were
 * fitted at n = 3 and n = 6 (docs/performance.md).
 */
export interface SealSpeeds {
  /** Per prime pair and per prime of a key switch at the reference ring. */
  readonly keySwitchPair: number
  readonly keySwitchPrime: number
  /** Per prime: one weighted summand, one addition, one product, one rescale. */
  readonly term: number
  readonly add: number
  readonly multiply: number
  readonly rescale: number
}

export const SEAL_SPEEDS: SealSpeeds = Object.freeze({
  keySwitchPair: 0.294e-3,
  keySwitchPrime: 1.32e-3,
  term: 0.36e-3,
  add: 0.06e-3,
  multiply: 0.49e-3,
  rescale: 0.66e-3,
})

/** The cost model of node-seal. It has no hoisting, so the cost of an operation does not depend on others. */
export const sealCosts =
  (speeds: SealSpeeds = SEAL_SPEEDS): CostModel =>
  ({ ops, ring, unusedLevels = 0 }) =>
    Float64Array.from(ops, (op) => {
      const [operand] = operandsOf(op)
      const level = operand === undefined ? op.level : ops[operand].level
      return opSeconds(op, level - unusedLevels + 1, ring, speeds)
    })

function opSeconds(op: Op, n: number, ring: number, speeds: SealSpeeds): number {
  const linear = ring / REFERENCE_RING
  const transform = transformGrowth(ring)
  switch (op.kind) {
    case 'rotate':
    case 'conjugate':
    case 'relinearise':
    case 'raise':
      return transform * (speeds.keySwitchPair * n * (n + 1) + speeds.keySwitchPrime * n)
    case 'dot':
      return linear * n * speeds.term * op.terms.length
    case 'timesI':
      return linear * n * speeds.term
    case 'multiply':
      return linear * n * speeds.multiply
    case 'rescale':
      return transform * n * speeds.rescale
    case 'add':
    case 'subtract':
    case 'addPlain':
      return linear * n * speeds.add
    case 'input':
    case 'dropLevel':
    case 'refresh':
      return 0
  }
}
