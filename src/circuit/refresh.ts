import { operandsOf } from './operands.ts'
import type { CkksParameters } from './parameters.ts'
import type { Circuit, Op } from './types.ts'

// What the client decrypts in a refresh is m + r, the message's integer coefficients under a mask r drawn uniformly from
// 2^b integers for each coefficient. The distribution of m_k + r is within statistical distance |m_k| / 2^b of the one
// that does not depend on m_k; over a whole inference distances add up. By Parseval the coefficients of an encoded vector
// of root mean square rho at scale s have a sum of squares of at most (rho s)^2, so the sum of their absolute values is at
// most sqrt(N) rho s (Cauchy and Schwarz), noise and all.

/** An inference is within this distance, as a power of two, of what a simulator without the weights would show. */
const HIDING_BITS = 40

/** Root mean square over the slots that no refreshed ciphertext exceeds; messages are near 1. */
export const MESSAGE_RMS_BOUND = 16

/**
 * Bits of modulus above the mask's: one for the sign, and one so that a masked value lies within a quarter of the modulus
 * of zero, where lifting it to an integer is exact whatever the rounding.
 */
export const MASK_ROOM_BITS = 2

/** A circuit's operations; a draft's stand for several equal ones each, so many as `counts` says. */
type CountedOps = Pick<Circuit, 'ops'> & { readonly counts?: readonly number[] }

/** The least `maskBits` that hides all values which a circuit refreshes. */
export function hidingBits({
  ops,
  counts,
  parameters,
}: CountedOps & { readonly parameters: Pick<CkksParameters, 'ring'> }): number {
  if (!ops.some((op) => op.kind === 'refresh')) return 1
  const scales = ops.reduce(
    (sum, op, id) => sum + (op.kind === 'refresh' ? op.scale * (counts?.[id] ?? 1) : 0),
    0,
  )
  return HIDING_BITS + Math.log2(MESSAGE_RMS_BOUND * Math.sqrt(parameters.ring) * scales)
}

/** Masks are kept as digits of so many bits, a word for each: what the kernels take as a factor. */
export const MASK_DIGIT_BITS = 30

/** Number of ciphertexts of each round of refreshes; empty for one shot. */
export function refreshRounds({ ops, counts }: CountedOps): number[] {
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
