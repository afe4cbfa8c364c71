/**
 * A reproducible source of -1 and 1 with equal chance: equal seeds give equal sequences. For estimates, never
 * for secrets. Xorshift of 32 bits (Marsaglia, 2003).
 */
export function seededSigns(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b9) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 16) & 1 ? 1 : -1
  }
}
