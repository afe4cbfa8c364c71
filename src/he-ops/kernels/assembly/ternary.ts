/**
 * Bytes of the reserve, which replace rejected bytes. Of the bytes of 65536 coefficients 256 are rejected on
 * average; the probability that the reserve does not suffice is below 2^-140.
 */
export const TERNARY_RESERVE: i32 = 512

/** The rejected byte. The other 255 values are 85 for each coefficient value. */
const REJECTED: u8 = 255

/**
 * Polynomials with coefficients -1, 0 and 1 of equal probability, as SEAL's `sample_poly_ternary`: a byte
 * below 255 modulo 3. A byte of 255 is rejected, and replaced by the next byte of the reserve below 255.
 *
 * @param out `size` words: coefficients plus 1
 * @param source `size` random bytes and `TERNARY_RESERVE` more; rejected ones are overwritten
 * @param size a multiple of 16
 */
export function ternary(out: usize, source: usize, size: i32): void {
  const rejected = i8x16.splat(<i8>REJECTED)
  const low = i8x16.splat(15)
  const modulo3 = i8x16(0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0)
  let reserve = source + size
  const end = reserve + TERNARY_RESERVE
  let target = out
  for (let at = source; at < source + size; at += 16) {
    if (v128.any_true(v128.eq<u8>(v128.load(at), rejected))) reserve = replaceRejected(at, reserve, end)
    const bytes = v128.load(at)
    // 16 is 1 modulo 3, so a byte is congruent to the sum of its halves; the sum of the reduced halves is at
    // most 4.
    const lower = v128.swizzle(modulo3, v128.and(bytes, low))
    const upper = v128.swizzle(modulo3, v128.shr<u8>(bytes, 4))
    storeBytes(target, v128.swizzle(modulo3, v128.add<u8>(lower, upper)))
    target += 64
  }
}

/**
 * Replaces the rejected ones of sixteen bytes.
 * @returns the rest of the reserve
 */
function replaceRejected(bytes: usize, reserve: usize, end: usize): usize {
  let next = reserve
  for (let at = bytes; at < bytes + 16; at++) {
    while (load<u8>(at) == REJECTED) {
      if (next == end) unreachable()
      store<u8>(at, load<u8>(next++))
    }
  }
  return next
}

/** Widens sixteen bytes to sixteen words. */
// @ts-ignore: decorator
@inline
export function storeBytes(out: usize, bytes: v128): void {
  const low = i16x8.extend_low_i8x16_u(bytes)
  const high = i16x8.extend_high_i8x16_u(bytes)
  v128.store(out, i32x4.extend_low_i16x8_u(low))
  v128.store(out, i32x4.extend_high_i16x8_u(low), 16)
  v128.store(out, i32x4.extend_low_i16x8_u(high), 32)
  v128.store(out, i32x4.extend_high_i16x8_u(high), 48)
}
