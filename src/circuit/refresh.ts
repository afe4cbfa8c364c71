import { log2Modulus } from './laws.ts'
import { operandsOf } from './operands.ts'
import type { CkksParameters } from './parameters/parameters.ts'
import type { Circuit, Op } from './types.ts'

// What the client decrypts in a refresh is m + r mod Q: the message's integer coefficients m under a mask r,
// which is drawn uniformly from Z_Q for each coefficient, Q being the modulus of the refresh level. That is
// uniform whatever m is. Client and server take residues for integers of least absolute value. So a
// coefficient comes back wrong, by Q, where m + r leaves that range: of the Q masks |m| make it do so. By
// Parseval the coefficients of an encoded vector of root mean square rho at scale s have a sum of squares of
// at most (rho s)^2, so the sum of their absolute values is at most sqrt(N) rho s (Cauchy and Schwarz). The
// chance that any coefficient of a ciphertext comes back wrong is at most that sum over Q; for a whole
// inference chances add up.

/**
 * The chance that a refreshed value comes back wrong, for a whole inference, is at most 2 to the power of
 * minus this.
 */
export const REFRESH_FAILURE_BITS = 30

/**
 * Root mean square over the slots that this is stated for. Messages are near 1; for values that are larger by
 * some factor the chance is larger by the same factor.
 */
export const MESSAGE_RMS_BOUND = 16

/** Primes that the refresh level may have: exact base extension takes so many. */
export const MOST_REFRESH_PRIMES = 8

/** A circuit's operations; a draft's stand for several equal ones each, so many as `counts` says. */
type ReplicatedOps = Pick<Circuit, 'ops'> & { readonly counts?: readonly number[] }

/**
 * log2 of the sum of the absolute values of all coefficients that a circuit refreshes, at most; minus
 * infinity without any.
 */
function refreshedBits({ ops, counts }: ReplicatedOps, ring: number): number {
  const scales = ops.reduce(
    (sum, op, id) => sum + (op.kind === 'refresh' ? op.scale * (counts?.[id] ?? 1) : 0),
    0,
  )
  return Math.log2(MESSAGE_RMS_BOUND * Math.sqrt(ring) * scales)
}

/** log2 of the modulus that the refresh level of a circuit has to have. */
export const refreshModulusBits = (
  circuit: ReplicatedOps & { readonly parameters: Pick<CkksParameters, 'ring'> },
): number => REFRESH_FAILURE_BITS + refreshedBits(circuit, circuit.parameters.ring)

/**
 * log2 of the chance that a refreshed value comes back wrong, for a whole inference, at most; minus infinity
 * for one shot.
 */
export const refreshFailure = (circuit: Pick<Circuit, 'ops' | 'parameters' | 'refresh'>): number =>
  circuit.refresh === undefined
    ? Number.NEGATIVE_INFINITY
    : refreshedBits(circuit, circuit.parameters.ring) - log2Modulus(circuit.parameters, circuit.refresh.level)

/** Number of ciphertexts of each round of refreshes; empty for one shot. */
export function refreshRounds({ ops, counts }: ReplicatedOps): number[] {
  const rounds: number[] = []
  ops.forEach((op, id) => {
    if (op.kind === 'refresh') rounds[op.round] = (rounds[op.round] ?? 0) + (counts?.[id] ?? 1)
  })
  return rounds
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
