// Arithmetic on four 32-bit lanes modulo a prime q < 2^30. "Lazy" values are congruent but not reduced; each
// function gives the bounds of its arguments and its result.

/**
 * a mod q for a below 2 * q; `q` in all lanes. One subtraction and an unsigned minimum: a - q wraps when a <
 * q.
 */
// @ts-ignore: decorator
@inline
export function reduceOnce(a: v128, q: v128): v128 {
  return v128.min<u32>(a, v128.sub<u32>(a, q))
}

/** The high words of the 64-bit products of `low` (lanes 0, 1) and `high` (lanes 2, 3), in order. */
// @ts-ignore: decorator
@inline
export function highWords(low: v128, high: v128): v128 {
  return v128.shuffle<u32>(low, high, 1, 3, 5, 7)
}

/** The low words, in order. */
// @ts-ignore: decorator
@inline
export function lowWords(low: v128, high: v128): v128 {
  return v128.shuffle<u32>(low, high, 0, 2, 4, 6)
}

/** floor(a * b / 2^32) in each lane. */
// @ts-ignore: decorator
@inline
export function multiplyHigh(a: v128, b: v128): v128 {
  return highWords(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b))
}

/**
 * a * w mod q, lazily below 2 * q, for any a below 2^32 and a constant w below q.
 *
 * Source: Shoup's trick as in Harvey, "Faster arithmetic for number-theoretic transforms", 2014, section 2.
 *
 * @param quotient floor(w * 2^32 / q)
 */
// @ts-ignore: decorator
@inline
export function multiplyShoup(a: v128, w: v128, quotient: v128, q: v128): v128 {
  return v128.sub<u32>(v128.mul<u32>(a, w), v128.mul<u32>(multiplyHigh(a, quotient), q))
}

/**
 * Montgomery reduction of four lanes of 64 bits: t / 2^32 mod q.
 *
 * @param low t of lanes 0 and 1
 * @param high t of lanes 2 and 3; every t below 3 * 2^32 * q
 * @param inverse q^-1 mod 2^32
 * @returns four lanes below q
 */
// @ts-ignore: decorator
@inline
export function reduceMontgomery(low: v128, high: v128, q: v128, inverse: v128): v128 {
  const m = v128.mul<u32>(lowWords(low, high), inverse)
  const lazy = v128.add<u32>(v128.sub<u32>(highWords(low, high), multiplyHigh(m, q)), q)
  return reduceOnce(reduceOnce(lazy, v128.shl<u32>(q, 1)), q)
}

/**
 * Montgomery reduction of negative numbers: t / 2^32 mod q.
 *
 * @param low, high signed, every t from -2^33 * q to -1
 */
// @ts-ignore: decorator
@inline
export function reduceSigned(low: v128, high: v128, q: v128, inverse: v128): v128 {
  const m = v128.mul<u32>(lowWords(low, high), inverse)
  const q2 = v128.shl<u32>(q, 1)
  // The high words of t + 2^33 * q are those of t plus 2 * q; with q more, the difference is not negative.
  const offset = v128.add<u32>(q2, q)
  const lazy = v128.add<u32>(v128.sub<u32>(highWords(low, high), multiplyHigh(m, q)), offset)
  return reduceOnce(reduceOnce(lazy, q2), q)
}

/** a * b / 2^32 mod q, fully reduced; a and b below q. */
// @ts-ignore: decorator
@inline
export function multiplyMontgomery(a: v128, b: v128, q: v128, inverse: v128): v128 {
  return reduceMontgomery(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b), q, inverse)
}
