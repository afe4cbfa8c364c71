/** "0.031 s": the layers of small networks take milliseconds. */
export const shortSeconds = (seconds: number): string => `${seconds.toFixed(3)} s`

/** @param percent 12.3 is "12 %" */
export const percentText = (percent: number): string => `${Math.round(percent)} %`

export const bitsText = (bits: number): string => `${bits.toFixed(1)} bits`

const LIST = new Intl.ListFormat('en-GB')

/** Sizes of primes: "of 30 bits", or "of 30 bits (12) and 28 bits (1)". */
export function sizesText(bits: readonly number[]): string {
  const counts = new Map<number, number>()
  for (const size of bits) counts.set(size, (counts.get(size) ?? 0) + 1)
  const sizes = [...counts].sort(([a], [b]) => b - a)
  if (sizes.length === 1) return `of ${sizes[0][0]} bits`
  return `of ${LIST.format(sizes.map(([size, count]) => `${size} bits (${count})`))}`
}
