import { storeBytes } from './ternary'

/** Largest absolute value of a coefficient, which is the difference of two sums of this many bits. */
export const BINOMIAL_BOUND: i32 = 21
/** Random bytes for each coefficient. */
export const BINOMIAL_BYTES: i32 = 6

/**
 * Polynomials with centred binomial coefficients of variance 10.5, as SEAL's `sample_poly_cbd`: a coefficient
 * takes six bytes. It is the number of bits set in the first two bytes and in five bits of the third, minus
 * the number set in the fourth, the fifth and five bits of the sixth.
 *
 * @param out `size` words: coefficients plus `BINOMIAL_BOUND`
 * @param source `BINOMIAL_BYTES * size` random bytes: the first byte of each coefficient, then the second of
 *   each, and so on
 * @param size a multiple of 16
 */
export function binomial(out: usize, source: usize, size: i32): void {
  const five = i8x16.splat(31)
  const bound = i8x16.splat(<i8>BINOMIAL_BOUND)
  const plane = <usize>size
  let target = out
  for (let at = source; at < source + plane; at += 16) {
    const plus = countBits(at, plane, five)
    const minus = countBits(at + 3 * plane, plane, five)
    storeBytes(target, v128.add<u8>(v128.sub<u8>(plus, minus), bound))
    target += 64
  }
}

/**
 * Counts the bits of two bytes and of a part of a third; each byte lies `plane` bytes behind the previous
 * one.
 */
// @ts-ignore: decorator
@inline
function countBits(at: usize, plane: usize, part: v128): v128 {
  const two = v128.add<u8>(i8x16.popcnt(v128.load(at)), i8x16.popcnt(v128.load(at + plane)))
  return v128.add<u8>(two, i8x16.popcnt(v128.and(v128.load(at + 2 * plane), part)))
}
