import type { Op } from './types.ts'

/**
 * The number of polynomials of each value: 3 for products and their sums until they are relinearised, and 2
 * otherwise.
 */
export function polynomialCounts(ops: readonly Op[]): Uint8Array {
  const counts = new Uint8Array(ops.length).fill(2)
  ops.forEach((op, id) => {
    if (op.kind === 'multiply') counts[id] = 3
    else if (op.kind === 'add' || op.kind === 'subtract') counts[id] = counts[op.left]
  })
  return counts
}
