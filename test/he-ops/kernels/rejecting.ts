/** 1 modulo 16384. */
export const REJECTING_PRIME = 1073233921n

/**
 * A seed, found by search, one of whose first 8192 words lies beyond the largest multiple of
 * `REJECTING_PRIME` and has to be drawn anew: of a prime of 30 bits that is one word in 2^34.
 */
export function rejectingSeed(): Uint8Array {
  const seed = new Uint8Array(64)
  new DataView(seed.buffer).setUint32(0, 2503660, true)
  return seed
}
