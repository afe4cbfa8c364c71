import { isPrime } from '../../../circuit/parameters/primes.ts'

/** Bits by which a prime of a pair may differ from half of the product's bits. */
const SPREAD_BITS = 4

const known = new Map<string, readonly (readonly [bigint, bigint])[] | undefined>()

/**
 * Pairs of distinct primes that are 1 modulo 2 * ring. Each product is as near as possible to a power of two,
 * in the order of the list. Few primes are small, so levels of two primes mix smaller and larger ones.
 *
 * @param bits log2 of each product
 * @param least size of the smallest prime, in bits
 * @returns undefined when there are not enough primes
 */
export function primePairs(
  ring: number,
  bits: readonly number[],
  { least, most }: { readonly least: number; readonly most: number },
): readonly (readonly [bigint, bigint])[] | undefined {
  const key = [ring, least, most, ...bits].join()
  if (!known.has(key)) known.set(key, choosePairs(ring, bits, least, most))
  return known.get(key)
}

function choosePairs(
  ring: number,
  bits: readonly number[],
  least: number,
  most: number,
): (readonly [bigint, bigint])[] | undefined {
  const lowest = Math.max(least - 1, Math.min(...bits) / 2 - SPREAD_BITS)
  const highest = Math.min(most, Math.max(...bits) / 2 + SPREAD_BITS)
  const primes = primesBetween(ring, 2 ** lowest, 2 ** highest)
  const pairs: (readonly [bigint, bigint])[] = []
  for (const target of bits) {
    const best = nearest(primes, target)
    if (best === undefined) return undefined
    const [high] = primes.splice(best[1], 1)
    const [low] = primes.splice(best[0], 1)
    pairs.push([BigInt(low), BigInt(high)])
  }
  return pairs
}

/** Indices of the two primes whose product is nearest to 2^bits, the lower index first. */
function nearest(primes: readonly number[], bits: number): readonly [number, number] | undefined {
  let best: readonly [number, number] | undefined
  let error = Infinity
  // Of ascending primes, the product is too small or too large: one index moves.
  for (let i = 0, j = primes.length - 1; i < j; ) {
    const difference = Math.log2(primes[i]) + Math.log2(primes[j]) - bits
    if (Math.abs(difference) < error) {
      error = Math.abs(difference)
      best = [i, j]
    }
    if (difference < 0) i++
    else j--
  }
  return best
}

/** Ascending. */
function primesBetween(ring: number, least: number, most: number): number[] {
  const step = 2 * ring
  const primes: number[] = []
  for (let candidate = Math.ceil(least / step) * step + 1; candidate < most; candidate += step) {
    if (isPrime(BigInt(candidate))) primes.push(candidate)
  }
  return primes
}
