import { operandsOf } from './operands.ts'
import type { Circuit, Op } from './types.ts'

/**
 * Which values of a circuit hybrid key switching can leave in the extended basis of data and special primes, not yet
 * divided by the special ones: a rotation is divided only where it, or a sum that it flows into, is read by anything but
 * a sum. So a `dot` of many rotations is divided once.
 */
export interface ExtendedBasis {
  /** 1 for each value that is made in the extended basis: rotations, and sums with a kept summand. */
  readonly made: Uint8Array
  /** 1 for each value that stays there: all that read it are sums. What is made and not kept is divided once. */
  readonly kept: Uint8Array
}

/** Sums are linear over whole polynomials, so they can be taken before the division. */
const isSum = ({ kind }: Op): boolean => kind === 'dot' || kind === 'add' || kind === 'subtract'

export function extendedBasis({ ops, result }: Pick<Circuit, 'ops' | 'result'>): ExtendedBasis {
  const made = new Uint8Array(ops.length)
  const kept = new Uint8Array(ops.length).fill(1)
  kept[result] = 0
  for (const op of ops) if (!isSum(op)) for (const operand of operandsOf(op)) kept[operand] = 0
  ops.forEach((op, id) => {
    const sumsKept = isSum(op) && operandsOf(op).some((operand) => kept[operand] === 1)
    made[id] = op.kind === 'rotate' || sumsKept ? 1 : 0
    kept[id] &= made[id]
  })
  return { made, kept }
}
