/** Bytes behind the packed residues that `unpack` may read; their values do not matter. */
export const UNPACK_SLACK: i32 = 7

/**
 * Unpacks residues of `bits` bits, least significant bit first, and checks them.
 *
 * @param source packed bytes, and `UNPACK_SLACK` bytes behind the last one
 * @returns 1 when every residue is below q, otherwise 0
 */
export function unpack(out: usize, source: usize, bits: i32, size: i32, q: u32): i32 {
  const mask = (<u64>1 << bits) - 1
  let position: u64 = 0
  let sound = true
  for (let i = 0; i < size; i++) {
    const residue = <u32>((load<u64>(source + <usize>(position >> 3)) >> (position & 7)) & mask)
    sound = sound && residue < q
    store<u32>(out + (<usize>i << 2), residue)
    position += bits
  }
  return sound ? 1 : 0
}

/**
 * Packs residues of `bits` bits, at most 32. Writes whole bytes; the unused bits of the last one are zero.
 */
export function pack(out: usize, source: usize, bits: i32, size: i32): void {
  let word: u64 = 0
  let filled: i32 = 0
  let target = out
  for (let i = 0; i < size; i++) {
    word |= <u64>load<u32>(source + (<usize>i << 2)) << filled
    filled += bits
    if (filled >= 32) {
      store<u32>(target, <u32>word)
      target += 4
      word >>= 32
      filled -= 32
    }
  }
  for (; filled > 0; filled -= 8) {
    store<u8>(target++, <u8>word)
    word >>= 8
  }
}
