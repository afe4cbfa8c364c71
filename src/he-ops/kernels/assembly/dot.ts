import { reduceMontgomery, reduceOnce } from './vector'

/** Residues that are worked on at a time; every range is a multiple of it, and no shorter block has a single weight. */
export const DOT_GRANULE: i32 = 16

const BLOCK_TERM_BYTES: usize = 12
const VECTOR_TERM_BYTES: usize = 8

/**
 * The modular sum that all linear work comes down to: out[r] = bias + sum over terms of x[r] * w[r] / 2^32 mod q, for
 * residues r in `from` .. `from + length - 1`. Weights are in Montgomery form (times 2^32), so the division cancels.
 * Products are added up in 64 bits and reduced once for `chunk` of them. Weights are below q; x may be any word whose
 * products with them fit.
 *
 * A block term is three words: address of x, address of w, shift: residue r has the weight w[r >> shift], shift >= 4.
 * A vector term is two words: address of x, address of w with one weight for each residue.
 *
 * @param out address of the polynomial's first residue; may be one of the x
 * @param from multiple of 16
 * @param length multiple of 16
 * @param inverse q^-1 mod 2^32
 * @param chunk most products whose sum `reduceMontgomery` takes, which has to be below 3 * 2^32 * q: with x below q
 *   floor(3 * 2^32 / q), with x below any prime of 30 bits 12
 * @param bias below q
 */
export function dot(
  out: usize,
  blockTerms: usize,
  blockCount: i32,
  vectorTerms: usize,
  vectorCount: i32,
  from: i32,
  length: i32,
  q: u32,
  inverse: u32,
  chunk: i32,
  bias: u32,
): void {
  sum(out, blockTerms, blockCount, vectorTerms, vectorCount, from, length, q, inverse, chunk, bias, 0, 0)
}

/**
 * The sum of all residues of a polynomial without a bias, its residues where an automorphism takes them: `permute` behind
 * `dot`, without another pass over memory.
 *
 * @param out must not be one of the x
 * @param table one word for each group of four residues of the sum: group of `out` << 8 | number of the byte pattern that
 *   orders its lanes
 * @param patterns as for `permute`
 */
export function dotPermuted(
  out: usize,
  blockTerms: usize,
  blockCount: i32,
  vectorTerms: usize,
  vectorCount: i32,
  size: i32,
  q: u32,
  inverse: u32,
  chunk: i32,
  table: usize,
  patterns: usize,
): void {
  sum(out, blockTerms, blockCount, vectorTerms, vectorCount, 0, size, q, inverse, chunk, 0, table, patterns)
}

/** Stores four residues of a sum: where they are, or where the table's entry says. */
// @ts-ignore: decorator
@inline
function place(out: usize, byte: usize, residues: v128, table: usize, patterns: usize): void {
  if (table == 0) {
    v128.store(out + byte, residues)
  } else {
    // A word of the table for sixteen bytes of residues.
    const entry = load<u32>(table + (byte >> 2))
    const pattern = v128.load(patterns + (<usize>(entry & 255) << 4))
    v128.store(out + (<usize>(entry >> 8) << 4), i8x16.swizzle(residues, pattern))
  }
}

/** Both kinds of sums; inlined into each, for which `table` is a constant or not. */
// @ts-ignore: decorator
@inline
function sum(
  out: usize,
  blockTerms: usize,
  blockCount: i32,
  vectorTerms: usize,
  vectorCount: i32,
  from: i32,
  length: i32,
  q: u32,
  inverse: u32,
  chunk: i32,
  bias: u32,
  table: usize,
  patterns: usize,
): void {
  const q1 = i32x4.splat(q)
  const qi = i32x4.splat(inverse)
  const total = blockCount + vectorCount
  const end = from + length
  for (let r = from; r < end; r += DOT_GRANULE) {
    const byte = <usize>r << 2
    let s0 = i32x4.splat(bias)
    let s1 = s0
    let s2 = s0
    let s3 = s0
    let done: i32 = 0
    let blockTerm = blockTerms
    let vectorTerm = vectorTerms
    while (done < total) {
      const limit = min(total, done + chunk)
      let l0 = i64x2.splat(0)
      let h0 = l0
      let l1 = l0
      let h1 = l0
      let l2 = l0
      let h2 = l0
      let l3 = l0
      let h3 = l0
      for (const blockLimit = min(limit, blockCount); done < blockLimit; done++) {
        const x = <usize>load<u32>(blockTerm) + byte
        const w = v128.load32_splat(<usize>load<u32>(blockTerm, 4) + (<usize>(r >> load<u32>(blockTerm, 8)) << 2))
        blockTerm += BLOCK_TERM_BYTES
        const x0 = v128.load(x)
        l0 = v128.add<u64>(l0, i64x2.extmul_low_i32x4_u(x0, w))
        h0 = v128.add<u64>(h0, i64x2.extmul_high_i32x4_u(x0, w))
        const x1 = v128.load(x, 16)
        l1 = v128.add<u64>(l1, i64x2.extmul_low_i32x4_u(x1, w))
        h1 = v128.add<u64>(h1, i64x2.extmul_high_i32x4_u(x1, w))
        const x2 = v128.load(x, 32)
        l2 = v128.add<u64>(l2, i64x2.extmul_low_i32x4_u(x2, w))
        h2 = v128.add<u64>(h2, i64x2.extmul_high_i32x4_u(x2, w))
        const x3 = v128.load(x, 48)
        l3 = v128.add<u64>(l3, i64x2.extmul_low_i32x4_u(x3, w))
        h3 = v128.add<u64>(h3, i64x2.extmul_high_i32x4_u(x3, w))
      }
      for (; done < limit; done++) {
        const x = <usize>load<u32>(vectorTerm) + byte
        const w = <usize>load<u32>(vectorTerm, 4) + byte
        vectorTerm += VECTOR_TERM_BYTES
        const x0 = v128.load(x)
        const w0 = v128.load(w)
        l0 = v128.add<u64>(l0, i64x2.extmul_low_i32x4_u(x0, w0))
        h0 = v128.add<u64>(h0, i64x2.extmul_high_i32x4_u(x0, w0))
        const x1 = v128.load(x, 16)
        const w1 = v128.load(w, 16)
        l1 = v128.add<u64>(l1, i64x2.extmul_low_i32x4_u(x1, w1))
        h1 = v128.add<u64>(h1, i64x2.extmul_high_i32x4_u(x1, w1))
        const x2 = v128.load(x, 32)
        const w2 = v128.load(w, 32)
        l2 = v128.add<u64>(l2, i64x2.extmul_low_i32x4_u(x2, w2))
        h2 = v128.add<u64>(h2, i64x2.extmul_high_i32x4_u(x2, w2))
        const x3 = v128.load(x, 48)
        const w3 = v128.load(w, 48)
        l3 = v128.add<u64>(l3, i64x2.extmul_low_i32x4_u(x3, w3))
        h3 = v128.add<u64>(h3, i64x2.extmul_high_i32x4_u(x3, w3))
      }
      s0 = reduceOnce(v128.add<u32>(s0, reduceMontgomery(l0, h0, q1, qi)), q1)
      s1 = reduceOnce(v128.add<u32>(s1, reduceMontgomery(l1, h1, q1, qi)), q1)
      s2 = reduceOnce(v128.add<u32>(s2, reduceMontgomery(l2, h2, q1, qi)), q1)
      s3 = reduceOnce(v128.add<u32>(s3, reduceMontgomery(l3, h3, q1, qi)), q1)
    }
    place(out, byte, s0, table, patterns)
    place(out, byte + 16, s1, table, patterns)
    place(out, byte + 32, s2, table, patterns)
    place(out, byte + 48, s3, table, patterns)
  }
}
