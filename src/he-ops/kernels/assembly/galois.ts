/**
 * An automorphism in NTT form: a permutation of residues that maps aligned groups of four to aligned groups
 * of four.
 *
 * @param out must not overlap `a`
 * @param table one word for each group of `out`: source group << 8 | number of the byte pattern that orders
 *   its lanes
 * @param patterns patterns of sixteen bytes for i8x16.swizzle
 */
export function permute(out: usize, a: usize, table: usize, patterns: usize, size: i32): void {
  const end = <usize>size << 2
  let entry = table
  for (let at: usize = 0; at < end; at += 16) {
    const word = load<u32>(entry)
    const group = v128.load(a + (<usize>(word >> 8) << 4))
    v128.store(out + at, i8x16.swizzle(group, v128.load(patterns + (<usize>(word & 255) << 4))))
    entry += 4
  }
}
