/** The lowest `bits` bits of `index`, reversed; higher ones are zero. */
export function bitReverse(index: number, bits: number): number {
  if (bits === 0) return 0
  // Swaps neighbouring bits, then pairs, fours, bytes and halves.
  let reversed = ((index >>> 1) & 0x55555555) | ((index & 0x55555555) << 1)
  reversed = ((reversed >>> 2) & 0x33333333) | ((reversed & 0x33333333) << 2)
  reversed = ((reversed >>> 4) & 0x0f0f0f0f) | ((reversed & 0x0f0f0f0f) << 4)
  reversed = ((reversed >>> 8) & 0x00ff00ff) | ((reversed & 0x00ff00ff) << 8)
  reversed = (reversed >>> 16) | (reversed << 16)
  return reversed >>> (32 - bits)
}

/** log2 of a power of two. */
export const log2Exact = (powerOfTwo: number): number => 31 - Math.clz32(powerOfTwo)
