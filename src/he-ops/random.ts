const BITS_PER_DRAW = 53
const BATCH = 4096
/** Most bytes of one call of the platform's generator. */
const WORDS_AT_ONCE = 16_384

/** Fills an array with random words. */
export type WordSource = (words: Uint32Array<ArrayBuffer>) => void

/** The platform's cryptographic generator. */
const platformWords: WordSource = (words) => {
  for (let start = 0; start < words.length; start += WORDS_AT_ONCE) {
    crypto.getRandomValues(words.subarray(start, start + WORDS_AT_ONCE))
  }
}

/**
 * Draws integers uniformly from -bound .. bound, without modulo bias: a draw has as many bits as 2 * bound,
 * and is rejected beyond it.
 *
 * @param bound a non-negative integer below 2^52
 * @param source of random words; by default the platform's cryptographic generator
 */
export function uniformIntegers(
  count: number,
  bound: number,
  source: WordSource = platformWords,
): Float64Array {
  const range = 2 * bound
  const bits = range === 0 ? 0 : Math.floor(Math.log2(range)) + 1
  const draw = bitSource(bits, source)
  return Float64Array.from({ length: count }, () => {
    for (;;) {
      const value = draw()
      if (value <= range) return value - bound
    }
  })
}

/**
 * Uniform integers in 0 .. below - 1, without modulo bias: 64-bit words modulo `below`; words at or beyond
 * its largest multiple are rejected.
 *
 * @param below at most 2^63
 */
export function uniformResidues(
  count: number,
  below: bigint,
  source: WordSource = platformWords,
): BigUint64Array {
  const limit = 2n ** 64n - (2n ** 64n % below)
  const words = new Uint32Array(2 * count)
  source(words)
  const residues = new BigUint64Array(words.buffer)
  const spare = new BigUint64Array(1)
  for (let i = 0; i < count; i++) {
    let word = residues[i]
    while (word >= limit) {
      source(new Uint32Array(spare.buffer))
      word = spare[0]
    }
    residues[i] = word % below
  }
  return residues
}

/** Uniform integers of `bits` bits, at most 53. */
function bitSource(bits: number, source: WordSource): () => number {
  if (bits > BITS_PER_DRAW) throw new RangeError(`${bits} bits are more than ${BITS_PER_DRAW}`)
  const words = new Uint32Array(2 * BATCH)
  const high = 2 ** Math.max(0, bits - 32)
  const low = 2 ** Math.min(32, bits)
  let next = words.length
  return () => {
    if (next === words.length) {
      source(words)
      next = 0
    }
    return (words[next++] % high) * low + (words[next++] % low)
  }
}
