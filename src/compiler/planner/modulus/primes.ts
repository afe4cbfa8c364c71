import { isPrime } from '../../../circuit/parameters/primes.ts'

/** The primes of one size for one ring, the largest first. They are searched for on demand. */
class PrimeList {
  readonly #step: bigint
  readonly #bits: number
  readonly #primes: bigint[] = []
  #next: bigint

  constructor(ring: number, bits: number) {
    this.#step = BigInt(2 * ring)
    this.#bits = bits
    this.#next = (((1n << BigInt(bits)) - 1n) / this.#step) * this.#step + 1n
  }

  /** The prime at an index; undefined when there are fewer primes. */
  at(index: number): bigint | undefined {
    while (this.#primes.length <= index && this.#next >> BigInt(this.#bits - 1) === 1n) {
      if (isPrime(this.#next)) this.#primes.push(this.#next)
      this.#next -= this.#step
    }
    return this.#primes[index]
  }
}

const lists = new Map<string, PrimeList>()

function listOf(ring: number, bits: number): PrimeList {
  const key = `${ring}/${bits}`
  const list = lists.get(key) ?? new PrimeList(ring, bits)
  lists.set(key, list)
  return list
}

/** Hands out each prime that is 1 modulo 2 * ring once, the largest of each size first. */
export class PrimePool {
  readonly #ring: number
  readonly #reserved: ReadonlySet<bigint>
  readonly #taken: Map<number, number>

  /**
   * @param reserved primes that are not handed out
   * @param taken number of primes of each size that have been looked at
   */
  constructor(
    ring: number,
    reserved: ReadonlySet<bigint> = new Set(),
    taken: ReadonlyMap<number, number> = new Map(),
  ) {
    this.#ring = ring
    this.#reserved = reserved
    this.#taken = new Map(taken)
  }

  /** Takes a prime of exactly `bits` bits; undefined when none is left. There are few small primes. */
  take(bits: number): bigint | undefined {
    const list = listOf(this.#ring, bits)
    let next = this.#taken.get(bits) ?? 0
    let prime = list.at(next)
    while (prime !== undefined && this.#reserved.has(prime)) prime = list.at(++next)
    if (prime !== undefined) this.#taken.set(bits, next + 1)
    return prime
  }

  /** An independent pool in the same state. */
  copy(): PrimePool {
    return new PrimePool(this.#ring, this.#reserved, this.#taken)
  }
}
