import { unpack } from './packing'
import { uniform } from './uniform'

// Programs have no use for what a call returns; these kernels write it to memory.

/** `unpack`; the word at `sound` becomes 1 when every residue is below q, otherwise 0. */
export function unpackNoted(out: usize, source: usize, bits: i32, size: i32, q: u32, sound: usize): void {
  store<u32>(sound, unpack(out, source, bits, size, q))
}

/** `uniform`; the word at `rejected` becomes the number of words that have to be drawn anew. */
export function uniformNoted(
  out: usize,
  seed: usize,
  firstChunk: u32,
  size: i32,
  q: u32,
  scratch: usize,
  rejected: usize,
): void {
  store<u32>(rejected, uniform(out, seed, firstChunk, size, q, scratch))
}
