/** Keeps the lowest bits of words, which are random and stay uniform so. @param bits 1 to 31 @param size a multiple of four */
export function keepBits(words: usize, bits: i32, size: i32): void {
  const mask = i32x4.splat((1 << bits) - 1)
  const end = words + (<usize>size << 2)
  for (let at = words; at < end; at += 16) v128.store(at, v128.and(v128.load(at), mask))
}

/** Overwrites bytes with zeros. */
export function clear(start: usize, bytes: usize): void {
  memory.fill(start, 0, bytes)
}
