import type { Op } from '../../../circuit/types.ts'

/** Node, the service, the frames under way, and the last answers. */
const SERVICE_BYTES = 300e6
/**
 * For each weighted summand: its share of the program's words, and of the heap that building the program has
 * taken and that is not given back. Of services with one circuit and one client it was 600 to 900
 * (docs/performance.md).
 */
const BYTES_PER_TERM = 900

/**
 * Bytes of a service's process that executes a circuit for one client, about: 3 % less to 21 % more than was
 * measured.
 */
export function processMemory(ops: readonly Op[], engineBytes: number): number {
  const terms = ops.reduce((sum, op) => sum + (op.kind === 'dot' ? op.terms.length : 0), 0)
  return engineBytes + SERVICE_BYTES + BYTES_PER_TERM * terms
}
