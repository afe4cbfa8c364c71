import { reduceWords } from './uniform'

/**
 * Words of the reserve, which replace rejected words. A word is rejected with a probability below 2^-34, so
 * that 65536 coefficients need one replacement in about 2^18 polynomials. The probability that eight do not
 * suffice is below 2^-160.
 */
const RESERVE_WORDS: i32 = 8
/** The reserve in bytes. */
export const RESIDUE_RESERVE: i32 = RESERVE_WORDS << 3
/** Random bytes for each residue. */
export const RESIDUE_BYTES: i32 = 8

/**
 * The largest multiple of q lies less than 2^30 below 2^64: a word whose upper 34 bits are not all ones is
 * below it.
 */
const UPPER_BITS: u64 = 0xffffffffc0000000

/**
 * Residues that are exactly uniform below q: random words of 64 bits modulo q. A word at or beyond the
 * largest multiple of q is rejected, and replaced by the next word of the reserve below it.
 *
 * @param out `size` words
 * @param source `RESIDUE_BYTES` random bytes for each residue and `RESIDUE_RESERVE` more; rejected ones are
 *   overwritten
 * @param size a multiple of four
 */
export function residues(out: usize, source: usize, size: i32, q: u32): void {
  const bytes = <usize>size << 3
  if (mayReject(source, bytes)) replaceRejected(source, bytes, q)
  reduceWords(out, source, bytes, q)
}

/** Whether any word may have to be rejected. */
function mayReject(source: usize, bytes: usize): bool {
  const ones = i64x2.splat(<i64>UPPER_BITS)
  let found = i64x2.splat(0)
  for (let at = source; at < source + bytes; at += 16) {
    const upper = v128.and(v128.load(at), ones)
    found = v128.or(found, v128.eq<i64>(upper, ones))
  }
  return v128.any_true(found)
}

function replaceRejected(source: usize, bytes: usize, q: u32): void {
  const limit = u64.MAX_VALUE - (u64.MAX_VALUE % q)
  let reserve = source + bytes
  const end = reserve + RESIDUE_RESERVE
  for (let at = source; at < source + bytes; at += 8) {
    while (load<u64>(at) >= limit) {
      if (reserve == end) unreachable()
      store<u64>(at, load<u64>(reserve))
      reserve += 8
    }
  }
}
