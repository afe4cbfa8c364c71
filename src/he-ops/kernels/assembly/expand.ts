import { scale } from './elementwise'
import { nttForward } from './ntt'

/**
 * Residues of polynomials that are kept as integers: out = NTT((integers + bias) * w mod q), for `count` polynomials of
 * `size` coefficients that follow one another.
 *
 * @param stride bytes from one result to the next
 * @param integers signed words; with the bias, a multiple of q, they are from 0 to 2^32 - 1
 * @param quotient floor(w * 2^32 / q)
 * @param table, quotients as for `nttForward`
 */
export function expand(
  out: usize,
  stride: usize,
  integers: usize,
  count: i32,
  size: i32,
  bias: u32,
  w: u32,
  quotient: u32,
  table: usize,
  quotients: usize,
  q: u32,
): void {
  const bytes = <usize>size << 2
  for (let i = 0; i < count; i++) {
    scale(out, integers, bias, w, quotient, size, q)
    nttForward(out, table, quotients, size, q)
    integers += bytes
    out += stride
  }
}
