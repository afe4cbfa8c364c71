import type { SimdContext } from '../context.ts'
import type { Call } from '../program/program.ts'
import type { ShoupConstant } from '../tables/modulus.ts'

/**
 * Writes a small polynomial's residues modulo prime `i` of the context, in NTT form.
 *
 * @param from coefficients from -bound to bound, each plus `bound`; unchanged
 */
export function reduceSmall(
  call: Call,
  { moduli, ring }: SimdContext,
  i: number,
  from: number,
  bound: number,
  to: number,
): void {
  const { q, forward, quotients } = moduli[i]
  call('scale', { out: to, a: from, bias: q - bound, ...one(q), size: ring, q })
  call('nttForward', { values: to, table: forward, quotients, size: ring, q })
}

/** The factor 1 for the `scale` kernel. */
const one = (q: number): ShoupConstant => ({ w: 1, quotient: Math.floor(2 ** 32 / q) })
