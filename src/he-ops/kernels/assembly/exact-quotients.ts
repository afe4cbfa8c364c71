import { highWords, lowWords } from './vector'

// Quotients of the exact base extension, exact also next to an integer. The numbers behind them are secret,
// so every quotient takes the same instructions: an estimate in fixed point, which is right or one too small,
// and a comparison of whole integers.

/** Bits behind the point of the estimate. Each fraction is below 1, so that eight of them fit 64 bits. */
const POINT: i32 = 61
/** Bits of a word of the integers: the products of eight residues with words have 61 bits together. */
const WORD: i32 = 28

// The table, in words. For each source i: floor(2^(31 + b) / q_i) and 30 - b, b being the bits of q_i. Then
// the number of words of S, the product of the q_i. Then, for each word of 28 bits, the least significant
// first: that of S, and that of S / q_i for each source.

/**
 * out = floor(sum over i of y_i / q_i), exactly: the multiple of the product S of the q_i that base extension
 * subtracts. No branch and no address depends on a residue.
 *
 * Source: Halevi, Polyakov and Shoup, "An Improved RNS Variant of the BFV Homomorphic Encryption Scheme",
 * ePrint 2018/117, section 2.2, which computes the quotient in floating point, where it may be wrong next to
 * an integer.
 *
 * @param y address of the first polynomial, residues below q_0; the others follow `stride` bytes apart
 * @param count of sources, at most 8
 * @param table as above
 * @param size a multiple of four
 */
export function exactQuotients(
  out: usize,
  y: usize,
  stride: usize,
  count: i32,
  table: usize,
  size: i32,
): void {
  const words = load<i32>(table + (<usize>count << 3))
  const integers = table + (<usize>count << 3) + 4
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    const source = y + at
    const larger = v128.add<u32>(estimate(source, stride, count, table), i32x4.splat(1))
    // The difference is negative where the estimate was right: its sign is then -1, and otherwise 0.
    const sign = signOfDifference(larger, source, stride, count, integers, words)
    v128.store(out + at, v128.add<u32>(larger, sign))
  }
}

/** floor(sum over i of y_i / q_i), or one less: each fraction is too small by at most 2^-31. */
// @ts-ignore: decorator
@inline
function estimate(y: usize, stride: usize, count: i32, table: usize): v128 {
  let low = i64x2.splat(0)
  let high = i64x2.splat(0)
  let source = y
  let entry = table
  for (let i = 0; i < count; i++) {
    const residues = v128.load(source)
    const reciprocal = v128.load32_splat(entry)
    const shift = load<i32>(entry, 4)
    low = v128.add<u64>(low, v128.shl<u64>(i64x2.extmul_low_i32x4_u(residues, reciprocal), shift))
    high = v128.add<u64>(high, v128.shl<u64>(i64x2.extmul_high_i32x4_u(residues, reciprocal), shift))
    source += stride
    entry += 8
  }
  return lowWords(v128.shr<u64>(low, POINT), v128.shr<u64>(high, POINT))
}

/**
 * The sign of sum over i of y_i * (S / q_i) - multiple * S, in each lane: -1 when it is negative, else 0.
 * Word by word with a signed carry; the last carry has the sign.
 */
// @ts-ignore: decorator
@inline
function signOfDifference(
  multiple: v128,
  y: usize,
  stride: usize,
  count: i32,
  integers: usize,
  words: i32,
): v128 {
  let low = i64x2.splat(0)
  let high = i64x2.splat(0)
  let factor = integers
  for (let word = 0; word < words; word++) {
    const product = v128.load32_splat(factor)
    low = v128.sub<i64>(v128.shr<i64>(low, WORD), i64x2.extmul_low_i32x4_u(multiple, product))
    high = v128.sub<i64>(v128.shr<i64>(high, WORD), i64x2.extmul_high_i32x4_u(multiple, product))
    factor += 4
    let source = y
    for (let i = 0; i < count; i++) {
      const residues = v128.load(source)
      const rest = v128.load32_splat(factor)
      low = v128.add<i64>(low, i64x2.extmul_low_i32x4_u(residues, rest))
      high = v128.add<i64>(high, i64x2.extmul_high_i32x4_u(residues, rest))
      source += stride
      factor += 4
    }
  }
  return v128.shr<i32>(highWords(low, high), 31)
}
