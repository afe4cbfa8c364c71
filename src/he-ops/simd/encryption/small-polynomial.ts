import type { SimdContext } from '../context.ts'

// Polynomials of small integers are known from their residues modulo one prime, and then modulo every other.

/**
 * Reads a polynomial of small integers: its residues modulo the context's first prime, in NTT form, are
 * overwritten with its coefficients, each plus `bound`.
 *
 * @param at address of N words
 * @returns whether all coefficients lie in -bound .. bound
 */
export function readSmall(context: SimdContext, at: number, bound: number): boolean {
  const { heap, kernels, moduli, ring } = context
  const [{ backward, quotients, q, inverseSize, last }] = moduli
  const { w, quotient } = inverseSize
  kernels.nttInverse(at, backward, quotients, ring, q, w, quotient, last.w, last.quotient)
  kernels.scale(at, at, bound, ...one(q), ring, q)
  return heap.words(at, ring).every((shifted) => shifted <= 2 * bound)
}

/**
 * Residues of such a polynomial modulo prime `i` of the context, in NTT form.
 *
 * @param from coefficients, each plus `bound`, as `readSmall` leaves them; unchanged
 */
export function reduceSmall(context: SimdContext, i: number, from: number, bound: number, to: number): void {
  const { kernels, moduli, ring } = context
  const { q, forward, quotients } = moduli[i]
  kernels.scale(to, from, q - bound, ...one(q), ring, q)
  kernels.nttForward(to, forward, quotients, ring, q)
}

/** The factor 1 for the `scale` kernel. */
const one = (q: number): [w: number, quotient: number] => [1, Math.floor(2 ** 32 / q)]
