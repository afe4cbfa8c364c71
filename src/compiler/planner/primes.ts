import { isPrime } from '../../circuit/primes.ts'

const found = new Map<string, readonly bigint[]>()

/** The `count` largest primes of a size that are 1 modulo 2 * ring, largest first, or as many as there are. */
function largestPrimes(ring: number, bits: number, count: number): readonly bigint[] {
  const key = `${ring}/${bits}`
  const known = found.get(key) ?? []
  if (known.length >= count) return known
  const step = BigInt(2 * ring)
  const primes: bigint[] = []
  let candidate = (((1n << BigInt(bits)) - 1n) / step) * step + 1n
  for (; candidate >> BigInt(bits - 1) === 1n && primes.length < count; candidate -= step) {
    if (isPrime(candidate)) primes.push(candidate)
  }
  found.set(key, primes)
  return primes
}

/** Gives out the primes of a ring, each once, the largest of each size first. */
export class PrimePool {
  readonly ring: number
  readonly #taken: Map<number, number>

  constructor(ring: number, taken: ReadonlyMap<number, number> = new Map()) {
    this.ring = ring
    this.#taken = new Map(taken)
  }

  /** A prime of exactly `bits` bits; undefined when all are given out: of small ones there are few. */
  take(bits: number): bigint | undefined {
    const taken = this.#taken.get(bits) ?? 0
    const prime = largestPrimes(this.ring, bits, taken + 1).at(taken)
    if (prime !== undefined) this.#taken.set(bits, taken + 1)
    return prime
  }

  /** A pool in the same state, for trying further choices. */
  copy(): PrimePool {
    return new PrimePool(this.ring, this.#taken)
  }
}
