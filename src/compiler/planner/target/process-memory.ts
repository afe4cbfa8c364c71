import type { Op } from '../../../circuit/types.ts'

// These are fitted to measured peaks of services with one circuit and one client, from 0.6 to 6.7 GB
// (docs/performance.md).

/** Memory of Node, the service, the frames in transit, and the latest answers. */
const SERVICE_BYTES = 370e6
/** What a service takes beside its engine's memory, for each byte of it. */
const SHARE_OF_ENGINE = 0.12
/**
 * Memory for each weighted summand: its words in the program, and its share of the heap that building the
 * program has taken and that is not returned.
 */
const BYTES_PER_TERM = 900

/** Estimated bytes of a service's process that executes a circuit for one client. */
export function processMemory(ops: readonly Op[], engineBytes: number): number {
  const terms = ops.reduce((sum, op) => sum + (op.kind === 'dot' ? op.terms.length : 0), 0)
  return SERVICE_BYTES + (1 + SHARE_OF_ENGINE) * engineBytes + BYTES_PER_TERM * terms
}
