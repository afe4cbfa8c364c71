/** The lowest `bits` bits of `index`, reversed. */
export function bitReverse(index: number, bits: number): number {
  let reversed = 0
  for (let i = 0; i < bits; i++) reversed = (reversed << 1) | ((index >> i) & 1)
  return reversed
}

/** log2 of a power of two. */
export const log2Exact = (powerOfTwo: number): number => 31 - Math.clz32(powerOfTwo)
