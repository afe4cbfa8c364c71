import { isPrime } from '../../../circuit/parameters/primes.ts'

/** The primes of one size for one ring, found as they are asked for, the largest first. */
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

  /** The prime of the index; undefined when there are not so many. */
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

/** Gives out the primes that are 1 modulo 2 * ring, each once, the largest of each size first. */
export class PrimePool {
  readonly #ring: number
  readonly #taken: Map<number, number>

  constructor(ring: number, taken: ReadonlyMap<number, number> = new Map()) {
    this.#ring = ring
    this.#taken = new Map(taken)
  }

  /** A prime of exactly `bits` bits; undefined when all are given out: of small ones there are few. */
  take(bits: number): bigint | undefined {
    const taken = this.#taken.get(bits) ?? 0
    const prime = listOf(this.#ring, bits).at(taken)
    if (prime !== undefined) this.#taken.set(bits, taken + 1)
    return prime
  }

  /** A pool in the same state, for trying further choices. */
  copy(): PrimePool {
    return new PrimePool(this.#ring, this.#taken)
  }
}
