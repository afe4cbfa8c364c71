import type { Op } from '../../../circuit/types.ts'

/** Memory of Node, the service, the frames in transit, and the latest answers. */
const SERVICE_BYTES = 300e6
/**
 * Memory for each weighted summand: its words in the program, and its share of the heap that building the
 * program has taken and that is not returned. It was 600 to 900 in services with one circuit and one client
 * (docs/performance.md).
 */
const BYTES_PER_TERM = 900

/**
 * Estimated bytes of a service's process that executes a circuit for one client. The peaks that were
 * measured are up to 17 % larger, and up to 17 % smaller (docs/performance.md).
 */
export function processMemory(ops: readonly Op[], engineBytes: number): number {
  const terms = ops.reduce((sum, op) => sum + (op.kind === 'dot' ? op.terms.length : 0), 0)
  return engineBytes + SERVICE_BYTES + BYTES_PER_TERM * terms
}
