import { reduceOnce, reduceSigned } from './vector'

/**
 * Residues of one step of the loop. Every range is a multiple of it, and a run of residues with one weight is
 * at least as long.
 */
export const DOT_GRANULE: i32 = 16

const BLOCK_TERM_BYTES: usize = 12
const VECTOR_TERM_BYTES: usize = 8

/**
 * The modular sum of all linear work: out[r] = bias + sum over terms of x[r] * w[r] / 2^32 mod q, for
 * residues r in `from` .. `from + length - 1`. Weights are in Montgomery form (times 2^32), so the division
 * cancels. Products are accumulated in signed words of 64 bits, from -2^33 q to 2^33 q: after each `chunk` of
 * them 2^33 q is subtracted from lanes that are not negative, which makes room for as many more. The sum is
 * reduced once. Weights are below q.
 *
 * A block term is three words: address of x, address of w, shift. Residue r has the weight w[r >> shift],
 * shift >= 4. A vector term is two words: address of x, address of w with one weight for each residue.
 *
 * @param out address of the polynomial's first residue; may be one of the x
 * @param from multiple of 16
 * @param length multiple of 16
 * @param inverse q^-1 mod 2^32
 * @param chunk most products whose sum is at most 2^33 q: floor(2^33 / q) with x below q, 8 with x below 2^30
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
 * `dot` of a whole polynomial without a bias, followed by `permute`, in one pass over memory.
 *
 * @param out must not be one of the x
 * @param table one word for each group of four residues of the sum: group of `out` << 8 | number of the byte
 *   pattern that orders its lanes
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

/** Stores four residues of a sum: in place, or at the group that the table's entry gives. */
// @ts-ignore: decorator
@inline
function place(out: usize, byte: usize, residues: v128, table: usize, patterns: usize): void {
  if (table == 0) {
    v128.store(out + byte, residues)
  } else {
    // The table has one word for each sixteen bytes of residues.
    const entry = load<u32>(table + (byte >> 2))
    const pattern = v128.load(patterns + (<usize>(entry & 255) << 4))
    v128.store(out + (<usize>(entry >> 8) << 4), i8x16.swizzle(residues, pattern))
  }
}

/** Subtracts `step` from lanes that are not negative. */
// @ts-ignore: decorator
@inline
export function belowZero(a: v128, step: v128): v128 {
  return v128.sub<i64>(a, v128.and(step, i64x2.gt_s(a, i64x2.splat(-1))))
}

/**
 * Body of both kernels, inlined into each: in `dot` the table is the constant 0, so that `place` needs no
 * branch.
 */
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
  const b1 = i32x4.splat(bias)
  const step = i64x2.splat((<i64>q) << 33)
  const start = i64x2.splat(-((<i64>q) << 33))
  const total = blockCount + vectorCount
  const end = from + length
  for (let r = from; r < end; r += DOT_GRANULE) {
    const byte = <usize>r << 2
    let l0 = start
    let h0 = start
    let l1 = start
    let h1 = start
    let l2 = start
    let h2 = start
    let l3 = start
    let h3 = start
    let done: i32 = 0
    let blockTerm = blockTerms
    let vectorTerm = vectorTerms
    while (done < total) {
      const limit = min(total, done + chunk)
      if (done > 0) {
        l0 = belowZero(l0, step)
        h0 = belowZero(h0, step)
        l1 = belowZero(l1, step)
        h1 = belowZero(h1, step)
        l2 = belowZero(l2, step)
        h2 = belowZero(h2, step)
        l3 = belowZero(l3, step)
        h3 = belowZero(h3, step)
      }
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
    }
    if (total > chunk) {
      l0 = belowZero(l0, step)
      h0 = belowZero(h0, step)
      l1 = belowZero(l1, step)
      h1 = belowZero(h1, step)
      l2 = belowZero(l2, step)
      h2 = belowZero(h2, step)
      l3 = belowZero(l3, step)
      h3 = belowZero(h3, step)
    }
    const s0 = reduceOnce(v128.add<u32>(b1, reduceSigned(l0, h0, q1, qi)), q1)
    const s1 = reduceOnce(v128.add<u32>(b1, reduceSigned(l1, h1, q1, qi)), q1)
    const s2 = reduceOnce(v128.add<u32>(b1, reduceSigned(l2, h2, q1, qi)), q1)
    const s3 = reduceOnce(v128.add<u32>(b1, reduceSigned(l3, h3, q1, qi)), q1)
    place(out, byte, s0, table, patterns)
    place(out, byte + 16, s1, table, patterns)
    place(out, byte + 32, s2, table, patterns)
    place(out, byte + 48, s3, table, patterns)
  }
}
