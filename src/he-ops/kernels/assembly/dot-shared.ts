import { DOT_GRANULE, belowZero } from './dot'
import { reduceSigned } from './vector'

/** Polynomials of a ciphertext. */
const POLYNOMIALS: i32 = 2
const ADDRESS_BYTES: usize = 4

/**
 * Weighted sums of the same ciphertexts: for each sum s and each of both polynomials p, out_(s, p)[r] = sum
 * over terms t of x_(t, p)[r] * w_(s, t)[r >> shift] / 2^32 mod q, for residues r in `from` .. `from + length
 * - 1`. Weights are in Montgomery form and below q; accumulation is that of `dot`.
 *
 * One granule of all inputs and the weights of all sums fit the first-level cache. So a granule is read once
 * for all sums, and the weights of a block, which lie in many places, are gathered once.
 *
 * @param outs table of addresses: the sums' first polynomials, then their second ones; none is an x
 * @param inputs table of addresses: the first polynomials of all terms, then their second ones
 * @param weights table of addresses: for each sum one for each term; 0 where the sum has not got the term
 * @param shift log2 of a block's length, at least 4
 * @param from multiple of 2^shift, or of 16 within one block
 * @param length multiple of 2^shift, or of 16 within one block
 * @param inverse, chunk as for `dot`
 * @param scratch a word for each sum and term
 */
export function dotShared(
  outs: usize,
  sums: i32,
  inputs: usize,
  terms: i32,
  weights: usize,
  shift: i32,
  from: i32,
  length: i32,
  q: u32,
  inverse: u32,
  chunk: i32,
  scratch: usize,
): void {
  const block = min(length, 1 << shift)
  const inputBytes = <usize>terms * ADDRESS_BYTES
  const outBytes = <usize>sums * ADDRESS_BYTES
  for (let start = from; start < from + length; start += block) {
    gather(scratch, weights, sums * terms, <usize>(start >> shift) << 2)
    for (let p = 0; p < POLYNOMIALS; p++) {
      const xs = inputs + <usize>p * inputBytes
      const to = outs + <usize>p * outBytes
      for (let r = start; r < start + block; r += DOT_GRANULE) {
        const byte = <usize>r << 2
        for (let s = 0; s < sums; s++) {
          const out = <usize>load<u32>(to + <usize>s * ADDRESS_BYTES) + byte
          granule(out, xs, xs + inputBytes, scratch + <usize>s * inputBytes, byte, q, inverse, chunk)
        }
      }
    }
  }
}

/** Copies one word of each weight. */
function gather(out: usize, weights: usize, count: i32, byte: usize): void {
  for (const end = out + (<usize>count << 2); out < end; out += 4) {
    const weight = <usize>load<u32>(weights)
    store<u32>(out, weight == 0 ? 0 : load<u32>(weight + byte))
    weights += ADDRESS_BYTES
  }
}

/**
 * One granule of one sum. @param x, xEnd table of the inputs' addresses @param w one weight for each input
 */
// @ts-ignore: decorator
@inline
function granule(out: usize, x: usize, xEnd: usize, w: usize, byte: usize, q: u32, inverse: u32, chunk: i32): void {
  const q1 = i32x4.splat(q)
  const qi = i32x4.splat(inverse)
  const step = i64x2.splat((<i64>q) << 33)
  const start = i64x2.splat(-((<i64>q) << 33))
  const chunkBytes = <usize>chunk * ADDRESS_BYTES
  const isLong = xEnd - x > chunkBytes
  // #each i = 0; 1; 2; 3
    let l$i = start
    let h$i = start
  // #end
  while (x < xEnd) {
    for (const limit = min(xEnd, x + chunkBytes); x < limit; x += ADDRESS_BYTES) {
      const at = <usize>load<u32>(x) + byte
      const weight = v128.load32_splat(w)
      w += 4
      // #each i, offset = 0, 0;  1, 16;  2, 32;  3, 48
        const x$i = v128.load(at, $offset)
        l$i = v128.add<u64>(l$i, i64x2.extmul_low_i32x4_u(x$i, weight))
        h$i = v128.add<u64>(h$i, i64x2.extmul_high_i32x4_u(x$i, weight))
      // #end
    }
    if (isLong) {
      // #each i = 0; 1; 2; 3
        l$i = belowZero(l$i, step)
        h$i = belowZero(h$i, step)
      // #end
    }
  }
  // #each i, offset = 0, 0;  1, 16;  2, 32;  3, 48
    v128.store(out, reduceSigned(l$i, h$i, q1, qi), $offset)
  // #end
}
