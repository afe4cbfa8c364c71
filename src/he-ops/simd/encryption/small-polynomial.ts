import type { SimdContext } from '../context.ts'
import { inverseArguments, type ShoupConstant } from '../tables/modulus.ts'

// The residues of a polynomial of small integers modulo one prime determine its residues modulo every other
// prime.

/**
 * Reads a polynomial of small integers: overwrites its residues modulo the context's first prime, in NTT
 * form, with its coefficients, each plus `bound`.
 *
 * @param at address of N words
 * @returns whether all coefficients lie in -bound .. bound
 */
export function readSmall(context: SimdContext, at: number, bound: number): boolean {
  const { heap, call, moduli, ring } = context
  const [modulus] = moduli
  const { q } = modulus
  call('nttInverse', inverseArguments(modulus, ring, at))
  call('scale', { out: at, a: at, bias: bound, ...one(q), size: ring, q })
  return heap.words(at, ring).every((shifted) => shifted <= 2 * bound)
}

/**
 * Writes a small polynomial's residues modulo prime `i` of the context, in NTT form.
 *
 * @param from coefficients, each plus `bound`, as `readSmall` leaves them; unchanged
 */
export function reduceSmall(context: SimdContext, i: number, from: number, bound: number, to: number): void {
  const { call, moduli, ring } = context
  const { q, forward, quotients } = moduli[i]
  call('scale', { out: to, a: from, bias: q - bound, ...one(q), size: ring, q })
  call('nttForward', { values: to, table: forward, quotients, size: ring, q })
}

/** The factor 1 for the `scale` kernel. */
const one = (q: number): ShoupConstant => ({ w: 1, quotient: Math.floor(2 ** 32 / q) })
