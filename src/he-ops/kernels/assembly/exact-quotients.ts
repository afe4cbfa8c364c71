import { lowWords } from './vector'

// Quotients of the exact base extension, exact also next to an integer. An estimate in fixed point decides
// nearly all of them; the others, about `count` in 2^31, are decided in integer arithmetic.

/** Bits behind the point of the estimate. Each fraction is below 1, so that eight of them fit 64 bits. */
const POINT: i32 = 61
/** Largest amount by which the estimate of one fraction is too small. */
const LACK: u64 = 1 << 30

// The table, in words. For each source i: floor(2^(31 + b) / q_i) and 30 - b, b being the bits of q_i. Then
// the number W of words of the integers behind it; the product S of the q_i; and S / q_i for each source.

/**
 * out = floor(sum over i of y_i / q_i), exactly: the multiple of the product S of the q_i that base extension
 * subtracts.
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
  const lack = i64x2.splat(<i64>(LACK * <u64>count))
  const end = <usize>size << 2
  for (let at: usize = 0; at < end; at += 16) {
    let low = i64x2.splat(0)
    let high = i64x2.splat(0)
    let source = y + at
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
    const least = lowWords(v128.shr<u64>(low, POINT), v128.shr<u64>(high, POINT))
    const most = lowWords(
      v128.shr<u64>(v128.add<u64>(low, lack), POINT),
      v128.shr<u64>(v128.add<u64>(high, lack), POINT),
    )
    v128.store(out + at, least)
    if (v128.any_true(v128.ne<u32>(least, most))) decide(out + at, y + at, stride, count, table, least, most)
  }
}

/** Decides those of four quotients that the estimate leaves open: they are `least`, or one more. */
function decide(
  out: usize,
  y: usize,
  stride: usize,
  count: i32,
  table: usize,
  least: v128,
  most: v128,
): void {
  v128.store(out, most)
  for (let lane: usize = 0; lane < 16; lane += 4) {
    const larger = load<u32>(out + lane)
    if (!reaches(larger, y + lane, stride, count, table)) store<u32>(out + lane, larger - 1)
  }
  // Lanes that the estimate has decided keep their value, which is the exact one.
  v128.store(out, v128.bitselect(v128.load(out), least, v128.ne<u32>(least, most)))
}

/**
 * Whether sum over i of y_i * (S / q_i) is at least `quotient` * S, by a subtraction word by word: the last
 * borrow tells.
 */
function reaches(quotient: u32, y: usize, stride: usize, count: i32, table: usize): bool {
  const words = load<u32>(table + (<usize>count << 3))
  const product = table + (<usize>count << 3) + 4
  const bytes = <usize>words << 2
  let carry: u64 = 0
  let carryOfMultiple: u64 = 0
  let borrow: u64 = 0
  for (let at: usize = 0; at < bytes; at += 4) {
    let sum = carry & 0xffffffff
    let next = carry >> 32
    let source = y
    let factor = product + bytes + at
    for (let i = 0; i < count; i++) {
      const term = <u64>load<u32>(source) * <u64>load<u32>(factor)
      sum += term & 0xffffffff
      next += term >> 32
      source += stride
      factor += bytes
    }
    carry = next + (sum >> 32)
    const multiple = <u64>quotient * <u64>load<u32>(product + at) + carryOfMultiple
    carryOfMultiple = multiple >> 32
    const difference = (sum & 0xffffffff) - (multiple & 0xffffffff) - borrow
    borrow = difference >> 63
  }
  return borrow == 0
}
