import { unpack } from './packing'
import { uniform } from './uniform'

// Kernels for programs, which cannot use a returned value: these write it to memory.

/** `unpack`; writes 1 to the word at `sound` when every residue is below q, otherwise 0. */
export function unpackNoted(out: usize, source: usize, bits: i32, size: i32, q: u32, sound: usize): void {
  store<u32>(sound, unpack(out, source, bits, size, q))
}

/** `uniform`; writes the number of rejected words to the word at `rejected`. */
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
