import type { ModulusChain } from '../../circuit/laws.ts'
import { type CkksParameters, checkParameters, MAX_LOG_QP } from '../../circuit/parameters.ts'
import { isPrime, nttPrimes } from '../../circuit/primes.ts'
import type { Target } from './target.ts'

/** Sizes of the data primes of a plan. */
export interface ChainBits {
  readonly ring: number
  /** Sizes of the primes that hold the logits at their scale: q_0 alone, or q_0, q_1, .. where one is too small. */
  readonly base: readonly number[]
  /** Size of each of the `levels` primes above the base. */
  readonly prime: number
  readonly levels: number
}

const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0)

/** Sizes of all data primes, from q_0 up. */
const dataSizes = ({ base, prime, levels }: ChainBits): number[] => [
  ...base,
  ...new Array<number>(levels).fill(prime),
]

/** Bits of all data primes together. */
export const dataBits = (bits: ChainBits): number => sum(dataSizes(bits))

/** The level of the logits: the base's last prime. */
export const baseLevel = ({ base }: ChainBits): number => base.length - 1

/** Sizes of as few primes as the target needs for `bits` together, as equal as can be. */
export function basePrimes(bits: number, { leastPrimeBits, mostPrimeBits }: Target): number[] {
  const count = Math.ceil(bits / mostPrimeBits)
  const size = Math.floor(bits / count)
  const larger = bits - size * count
  return Array.from({ length: count }, (_, i) => Math.max(leastPrimeBits, i < larger ? size + 1 : size))
}

/** Bits of the least special prime that a chain can do with: a digit of one of its primes. */
export const leastSpecialBits = ({ base, prime }: ChainBits): number => Math.max(...base, prime)

/**
 * The sizes of special primes that the security table leaves room for: one list for each number of them. Each is as large
 * as can be, since the noise of key switching shrinks with them, and none is smaller than a data prime, so that their
 * product is no smaller than a digit.
 */
export function specialPrimeChoices(bits: ChainBits, target: Target): number[][] {
  const room = Math.floor(MAX_LOG_QP[bits.ring] - dataBits(bits))
  const most = Math.min(target.mostSpecialPrimes, dataSizes(bits).length)
  const choices: number[][] = []
  for (let count = 1; count <= most; count++) {
    const size = Math.min(target.mostPrimeBits, Math.floor(room / count))
    if (size < leastSpecialBits(bits)) break
    choices.push(new Array<number>(count).fill(size))
  }
  return choices.filter((special) => primesExist(bits.ring, [...dataSizes(bits), ...special]))
}

/** Whether a ring has as many primes of each size as are asked for: of small ones there are few. */
function primesExist(ring: number, sizes: readonly number[]): boolean {
  const counts = Map.groupBy(sizes, (size) => size)
  return [...counts].every(([size, { length }]) => largestPrimes(ring, size, length).length === length)
}

const found = new Map<string, readonly bigint[]>()

/** The `count` largest primes of a size for a ring, largest first, or as many as there are. */
function largestPrimes(ring: number, bits: number, count: number): readonly bigint[] {
  const key = `${ring}/${bits}`
  const known = found.get(key) ?? []
  if (known.length >= count) return known.slice(0, count)
  const step = BigInt(2 * ring)
  const primes: bigint[] = []
  let candidate = (((1n << BigInt(bits)) - 1n) / step) * step + 1n
  for (; candidate >> BigInt(bits - 1) === 1n && primes.length < count; candidate -= step) {
    if (isPrime(candidate)) primes.push(candidate)
  }
  found.set(key, primes)
  return primes
}

/**
 * Checked parameters with primes of the given sizes. Above the base the largest prime is the highest, so that a draft
 * knows the primes it will rescale by before it is known how many there are.
 */
export function parametersOf(bits: ChainBits, special: readonly number[]): CkksParameters {
  const { ring, base, prime, levels } = bits
  const primes = nttPrimes(ring, [...new Array<number>(levels).fill(prime), ...special, ...base]).map(String)
  return checkParameters({
    ring,
    primes: [...primes.slice(levels + special.length), ...primes.slice(0, levels).reverse()],
    specialPrimes: primes.slice(levels, levels + special.length),
  })
}

/** A chain of more levels than any circuit needs, to find out how many are needed. */
export function draftChain(ring: number, primeBits: number): ModulusChain {
  const primes = new Array<bigint>(DRAFT_LEVELS + 1).fill(1n << BigInt(primeBits))
  const fitting = Math.ceil(MAX_LOG_QP[ring] / primeBits)
  largestPrimes(ring, primeBits, fitting).forEach((prime, fromTop) => {
    primes[DRAFT_LEVELS - fromTop] = prime
  })
  return { slots: ring / 2, primes, topLevel: DRAFT_LEVELS }
}

export const DRAFT_LEVELS = 250
