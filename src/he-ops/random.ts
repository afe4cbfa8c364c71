const BITS_PER_DRAW = 53
const BATCH = 4096

/**
 * Integers drawn uniformly from -bound .. bound by the platform's cryptographic generator, without modulo bias: draws
 * are cut to the bits that 2 * bound needs, and those beyond it are thrown away.
 *
 * @param bound a non-negative integer below 2^52
 */
export function uniformIntegers(count: number, bound: number): Float64Array {
  const range = 2 * bound
  const bits = range === 0 ? 0 : Math.floor(Math.log2(range)) + 1
  const draw = bitSource(bits)
  return Float64Array.from({ length: count }, () => {
    for (;;) {
      const value = draw()
      if (value <= range) return value - bound
    }
  })
}

/** Uniform integers of `bits` bits, at most 53. */
function bitSource(bits: number): () => number {
  if (bits > BITS_PER_DRAW) throw new RangeError(`${bits} bits are more than ${BITS_PER_DRAW}`)
  const words = new Uint32Array(2 * BATCH)
  const high = 2 ** Math.max(0, bits - 32)
  const low = 2 ** Math.min(32, bits)
  let next = words.length
  return () => {
    if (next === words.length) {
      crypto.getRandomValues(words)
      next = 0
    }
    return (words[next++] % high) * low + (words[next++] % low)
  }
}
