import { log2Modulus } from './laws.ts'
import { operandsOf } from './operands.ts'
import type { CkksParameters } from './parameters/parameters.ts'
import type { Circuit, Op } from './types.ts'

// In a refresh the client decrypts m + r mod Q: the message's integer coefficients m under a mask r. The mask
// is drawn uniformly from Z_Q for each coefficient, where Q is the modulus of the refresh level. So m + r is
// uniform for every m. Client and server read residues as integers of least absolute value. A coefficient
// comes back wrong by Q where m + r leaves this range, which |m| of the Q masks cause. By Parseval, the
// coefficients of an encoded vector of root mean square rho at scale s have a sum of squares of at most (rho
// s)^2. By Cauchy and Schwarz the sum of their absolute values is at most sqrt(N) rho s. The chance that a
// coefficient of a ciphertext comes back wrong is at most this sum over Q, and the chances of all ciphertexts
// of an inference add up.

/**
 * The chance that a refreshed value comes back wrong in an inference is at most 2 to the power of minus this.
 */
export const REFRESH_FAILURE_BITS = 30

/**
 * Root mean square over a tensor's elements for which the chance is stated. Messages are near 1. For larger
 * values the chance grows in proportion.
 */
export const MESSAGE_RMS_BOUND = 16
/** The same over slots, which hold two elements. */
const SLOT_RMS_BOUND = MESSAGE_RMS_BOUND * Math.SQRT2

/** Most primes of the refresh level: exact base extension takes no more. */
export const MOST_REFRESH_PRIMES = 8

/** Operations of a circuit, or of a draft, whose `counts` give the multiplicity of each. */
type ReplicatedOps = Pick<Circuit, 'ops'> & { readonly counts?: readonly number[] }

/**
 * Upper bound of log2 of the sum of the absolute values of all coefficients that a circuit refreshes; minus
 * infinity where it refreshes none.
 */
function refreshedBits({ ops, counts }: ReplicatedOps, ring: number): number {
  const scales = ops.reduce(
    (sum, op, id) => sum + (op.kind === 'refresh' ? op.scale * (counts?.[id] ?? 1) : 0),
    0,
  )
  return Math.log2(SLOT_RMS_BOUND * Math.sqrt(ring) * scales)
}

/** log2 of the modulus that the refresh level of a circuit needs. */
export const refreshModulusBits = (
  circuit: ReplicatedOps & { readonly parameters: Pick<CkksParameters, 'ring'> },
): number => REFRESH_FAILURE_BITS + refreshedBits(circuit, circuit.parameters.ring)

/**
 * Upper bound of log2 of the chance that a refreshed value comes back wrong in an inference; minus infinity
 * for one shot.
 */
export const refreshFailure = (circuit: Pick<Circuit, 'ops' | 'parameters' | 'refresh'>): number =>
  circuit.refresh === undefined
    ? Number.NEGATIVE_INFINITY
    : refreshedBits(circuit, circuit.parameters.ring) - log2Modulus(circuit.parameters, circuit.refresh.level)

/** Number of ciphertexts of each refresh round; empty for one shot. */
export function refreshRounds({ ops, counts }: ReplicatedOps): number[] {
  const rounds: number[] = []
  ops.forEach((op, id) => {
    if (op.kind === 'refresh') rounds[op.round] = (rounds[op.round] ?? 0) + (counts?.[id] ?? 1)
  })
  return rounds
}

/**
 * Length of the longest chain of refreshes that the result depends on. Other rounds overlap with these, so an
 * inference waits for at least this many round trips.
 */
export function refreshDepth({ ops, result }: Pick<Circuit, 'ops' | 'result'>): number {
  const depths = new Uint32Array(ops.length)
  ops.forEach((op, id) => {
    const before = operandsOf(op).reduce((most, operand) => Math.max(most, depths[operand]), 0)
    depths[id] = before + (op.kind === 'refresh' ? 1 : 0)
  })
  return depths[result]
}

/** For each value the number of rounds that must be over before it can be computed. */
export function segmentsOf(ops: readonly Op[]): Uint32Array {
  const segments = new Uint32Array(ops.length)
  ops.forEach((op, id) => {
    const before = operandsOf(op).reduce((most, operand) => Math.max(most, segments[operand]), 0)
    segments[id] = op.kind === 'refresh' ? op.round + 1 : before
  })
  return segments
}
