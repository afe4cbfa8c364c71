import { CHUNK_BYTES, expandChunk, SCRATCH_BYTES } from './blake2xb'
import { highWords, lowWords, multiplyShoup, reduceOnce } from './vector'

/**
 * Uniform residues from a seed, as SEAL's `sample_poly_uniform` draws them for one of a polynomial's primes:
 * 64-bit words of the stream modulo q.
 *
 * @param firstChunk first chunk of the stream for the polynomial's residues modulo q
 * @param size number of residues, a multiple of 512
 * @param scratch `SCRATCH_BYTES + CHUNK_BYTES` bytes
 * @returns the number of rejected words, at or beyond the largest multiple of q. SEAL replaces them by words
 *   behind those of all primes; this kernel writes their biased residues
 */
export function uniform(out: usize, seed: usize, firstChunk: u32, size: i32, q: u32, scratch: usize): i32 {
  const words = scratch + SCRATCH_BYTES
  const perChunk = CHUNK_BYTES >> 3
  let rejected: i32 = 0
  for (let done = 0; done < size; done += perChunk) {
    expandChunk(words, seed, firstChunk + done / perChunk, scratch)
    // The largest multiple of q lies less than 2^30 below 2^64.
    if (reduceWords(out + (<usize>done << 2), words, CHUNK_BYTES, q)) rejected += countRejected(words, q)
  }
  return rejected
}

/**
 * Words of 64 bits modulo q.
 *
 * @param bytes of the words, a multiple of 32
 * @returns whether there is a word whose upper half is all ones
 */
export function reduceWords(out: usize, words: usize, bytes: usize, q: u32): bool {
  const q1 = i32x4.splat(q)
  const q2 = i32x4.splat(q << 1)
  const high = <u32>(<u64>0x100000000 % q)
  const w = i32x4.splat(high)
  const wq = i32x4.splat(<u32>((<u64>high << 32) / q))
  const one = i32x4.splat(1)
  const oneq = i32x4.splat(<u32>(<u64>0x100000000 / q))
  let most = i32x4.splat(0)
  let target = out
  for (let at = words; at < words + bytes; at += 32) {
    const a = v128.load(at)
    const b = v128.load(at, 16)
    const upper = highWords(a, b)
    most = v128.max<u32>(most, upper)
    // Each below 2 * q.
    const sum = v128.add<u32>(multiplyShoup(upper, w, wq, q1), multiplyShoup(lowWords(a, b), one, oneq, q1))
    v128.store(target, reduceOnce(reduceOnce(sum, q2), q1))
    target += 16
  }
  return v128.any_true(v128.eq<u32>(most, i32x4.splat(-1)))
}

function countRejected(words: usize, q: u32): i32 {
  const limit = u64.MAX_VALUE - (u64.MAX_VALUE % q) - 1
  let rejected: i32 = 0
  for (let at = words; at < words + CHUNK_BYTES; at += 8) if (load<u64>(at) >= limit) rejected++
  return rejected
}
