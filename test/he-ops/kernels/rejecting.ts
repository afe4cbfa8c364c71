/** 1 modulo 16384. */
export const REJECTING_PRIME = 1073233921n

/**
 * A seed, found by search, for which `REJECTING_PRIME` rejects one of the first 8192 words. A prime of 30
 * bits rejects one word in 2^34.
 */
export function rejectingSeed(): Uint8Array {
  const seed = new Uint8Array(64)
  new DataView(seed.buffer).setUint32(0, 2503660, true)
  return seed
}
