import { scale } from './elementwise'
import { reduceDoubles } from './encoding'
import { nttForward } from './ntt'
import { reduceOnce } from './vector'

// Polynomials of real slots are determined by the first half of their coefficients: c_(size / 2) is zero, and
// c_(size - k) is -c_k. Of polynomials of complex slots all coefficients are kept.

/**
 * Residues of polynomials that are kept as integers: out = NTT((integers + bias) * w mod q), for `count`
 * contiguous polynomials of `size` coefficients, of which the first `kept` are kept.
 *
 * @param stride bytes from one result to the next
 * @param integers signed words; with the bias, a multiple of q, they are from 0 to 2^32 - 1
 * @param size at least 8
 * @param kept size / 2 or size
 * @param quotient floor(w * 2^32 / q)
 * @param table, quotients as for `nttForward`
 */
export function expand(
  out: usize,
  stride: usize,
  integers: usize,
  count: i32,
  size: i32,
  kept: i32,
  bias: u32,
  w: u32,
  quotient: u32,
  table: usize,
  quotients: usize,
  q: u32,
): void {
  for (let i = 0; i < count; i++) {
    scale(out, integers, bias, w, quotient, kept, q)
    if (kept < size) mirror(out, kept, q)
    nttForward(out, table, quotients, size, q)
    integers += <usize>kept << 2
    out += stride
  }
}

/**
 * `expand` for one polynomial whose integers are too large for words and are kept as doubles: out =
 * NTT(values mod q).
 *
 * @param values the kept coefficients, integers
 * @param size, kept, table, quotients as for `expand`
 */
export function expandDoubles(
  out: usize,
  values: usize,
  size: i32,
  kept: i32,
  table: usize,
  quotients: usize,
  q: u32,
): void {
  reduceDoubles(out, values, 1, kept, q)
  if (kept < size) mirror(out, kept, q)
  nttForward(out, table, quotients, size, q)
}

/** Writes the second half of the residues from the first `half`, a multiple of four. */
function mirror(residues: usize, half: i32, q: u32): void {
  const q1 = i32x4.splat(q)
  const middle = residues + (<usize>half << 2)
  store<u32>(middle, 0)
  let to = middle + (<usize>half << 2)
  // The last four begin at the middle residue, which is its own mirror image.
  for (let from = residues + 4; from < middle; from += 16) {
    to -= 16
    const four = v128.load(from)
    const reversed = v128.shuffle<u32>(four, four, 3, 2, 1, 0)
    v128.store(to, reduceOnce(v128.sub<u32>(q1, reversed), q1))
  }
}
