import {
  type CkksParameters,
  checkParameters,
  digitCount,
  digitRange,
  MAX_LOG_QP,
} from '../../../circuit/parameters/parameters.ts'
import type { BuilderChain } from '../../lowering/builder/scale-policy.ts'
import { PrimePool } from './primes.ts'
import { imageSlots } from './rings.ts'

/** Sizes of primes in bits. */
export interface PrimeSizes {
  readonly least: number
  readonly most: number
}

/** The data primes of a plan. */
export interface PlannedChain {
  readonly ring: number
  /** The primes that hold the logits at their scale: q_0, and further ones where q_0 would be too large. */
  readonly base: readonly bigint[]
  /** The primes above the base, which rescaling divides by, the lowest first. */
  readonly levels: readonly bigint[]
  /** As in `CkksParameters`: the level from which servers raise values. */
  readonly raiseLevel?: number
}

/** All data primes, q_0 first. */
export const dataPrimes = ({ base, levels }: PlannedChain): bigint[] => [...base, ...levels]

/** log2 of a product of primes. */
export const bitsOf = (primes: readonly bigint[]): number =>
  primes.reduce((bits, prime) => bits + Math.log2(Number(prime)), 0)

/** The checked parameters of a plan. */
export const parametersOf = (chain: PlannedChain, special: readonly bigint[]): CkksParameters =>
  checkParameters({
    ring: chain.ring,
    primes: dataPrimes(chain).map(String),
    specialPrimes: special.map(String),
    ...(chain.raiseLevel !== undefined && { raiseLevel: chain.raiseLevel }),
  })

/** Number of levels of a draft, more than any circuit needs. */
export const DRAFT_LEVELS = 250

/** Primes of a draft that are chosen before its circuit is lowered. */
export interface FixedPrimes {
  /** The primes of the highest levels, the highest last. */
  readonly high: readonly bigint[]
  /** The primes of the levels from `lowFrom` on, upwards. */
  readonly low: readonly bigint[]
  readonly lowFrom: number
  /** The base primes; undefined where the logits decide. */
  readonly base?: readonly bigint[]
}

const NO_FIXED_PRIMES: FixedPrimes = { high: [], low: [], lowFrom: 0 }

/**
 * The modulus chain of a draft, which finds the primes that a circuit needs. The prime of a level is chosen
 * at the first rescale from that level, from the highest level down. The finished chain has the same primes,
 * so all scales of the circuit equal those of the draft.
 */
export class DraftChain implements BuilderChain {
  /** Slots of one copy of one image. */
  readonly slots: number
  readonly batch: number
  readonly copies: number
  /** The primes by level. A level without a chosen prime has an upper bound of its size. */
  readonly primes: bigint[]
  readonly topLevel = DRAFT_LEVELS
  /** Level of inputs: below it, primes are chosen as they are needed. */
  readonly inputLevel: number
  readonly #ring: number
  readonly #sizes: PrimeSizes
  readonly #placeholder: bigint
  readonly #base: readonly bigint[] | undefined
  /** The highest level whose prime is fixed, of those below the inputs. */
  readonly #fixedBelow: number
  #pool: PrimePool
  #chosen = 0
  #exhausted = false

  constructor(ring: number, sizes: PrimeSizes, batch = 1, fixed = NO_FIXED_PRIMES, copies = 1) {
    this.slots = imageSlots(ring, batch, copies)
    this.batch = batch
    this.copies = copies
    this.#ring = ring
    this.#placeholder = 1n << BigInt(sizes.most)
    this.primes = new Array<bigint>(DRAFT_LEVELS + 1).fill(this.#placeholder)
    this.#pool = new PrimePool(ring, new Set([...fixed.high, ...fixed.low, ...(fixed.base ?? [])]))
    this.#sizes = sizes
    this.inputLevel = DRAFT_LEVELS - fixed.high.length
    this.#fixedBelow = fixed.lowFrom + fixed.low.length - 1
    this.#base = fixed.base
    fixed.high.forEach((prime, i) => {
      this.primes[this.inputLevel + 1 + i] = prime
    })
    fixed.low.forEach((prime, i) => {
      this.primes[fixed.lowFrom + i] = prime
    })
  }

  /**
   * Chooses the prime of a level, unless it is chosen already: the largest unused prime of at most `bits`
   * bits.
   *
   * @param bits not less than the least size
   */
  choose(level: number, bits: number): void {
    if (level > this.#fixedBelow && level <= this.inputLevel - this.#chosen) {
      this.primes[level] = this.#largest(Math.min(this.#sizes.most, Math.floor(bits)))
      this.#chosen++
    }
  }

  /** Returns a function that undoes all later choices. */
  mark(): () => void {
    const chosen = this.#chosen
    const pool = this.#pool.copy()
    const exhausted = this.#exhausted
    return () => {
      for (let i = chosen; i < this.#chosen; i++) this.primes[this.inputLevel - i] = this.#placeholder
      this.#chosen = chosen
      // The function may be called again after other choices.
      this.#pool = pool.copy()
      this.#exhausted = exhausted
    }
  }

  #largest(bits: number): bigint {
    for (let size = bits; size >= this.#sizes.least; size--) {
      const prime = this.#pool.take(size)
      if (prime !== undefined) return prime
    }
    this.#exhausted = true
    return 1n << BigInt(bits)
  }

  /**
   * Chooses the base primes, unless they are fixed, and returns the data primes with the pool of unused
   * primes.
   *
   * @param level level of the result in this chain. No prime at or below it was chosen
   * @param bits bits of modulus that the result needs
   * @param sizes of the base primes; by default those of the other primes
   * @returns undefined when the ring has too few primes of a size
   */
  finish(
    level: number,
    bits: number,
    sizes = this.#sizes,
  ): { chain: PlannedChain; left: PrimePool } | undefined {
    const left = this.#pool.copy()
    const base = this.#base ?? takeBase(left, bits, sizes)
    if (this.#exhausted || base === undefined) return undefined
    return { chain: { ring: this.#ring, base, levels: this.primes.slice(level + 1) }, left }
  }
}

/**
 * log2 of the largest primes of b bits is less than this below b. The required bits have one bit to spare.
 */
const ROUNDING_BITS = 0.1

/** Takes the fewest primes whose product has `bits` bits, of sizes as equal as possible. */
function takeBase(pool: PrimePool, bits: number, { least, most }: PrimeSizes): bigint[] | undefined {
  const count = Math.ceil(bits / most)
  const base: bigint[] = []
  for (let needed = bits; base.length < count; needed -= Math.log2(Number(base.at(-1)))) {
    const prime = takeAtLeast(
      pool,
      Math.max(least, Math.ceil(needed / (count - base.length) - ROUNDING_BITS)),
      most,
    )
    if (prime === undefined) return undefined
    base.push(prime)
  }
  return base
}

function takeAtLeast(pool: PrimePool, bits: number, most: number): bigint | undefined {
  for (let size = bits; size <= most; size++) {
    const prime = pool.take(size)
    if (prime !== undefined) return prime
  }
  return undefined
}

/**
 * Bits by which the product of the special primes may be smaller than the largest digit. Within this limit,
 * the noise model decides.
 */
const DIGIT_SLACK_BITS = 6

/** log2 of the least modulus of special primes for a chain: the largest digit of one prime. */
export const leastSpecialBits = (chain: PlannedChain): number =>
  dataPrimes(chain).reduce((most, prime) => Math.max(most, Math.log2(Number(prime))), 0)

/**
 * The choices of special primes within the limit of the security table: at most one for each number of
 * special primes up to `most`. The primes are as large as possible, because the noise of key switching
 * shrinks with their product. Choices whose product does not cover a digit are left out.
 *
 * @param left the primes that are not in the chain
 */
export function specialPrimeChoices(
  chain: PlannedChain,
  left: PrimePool,
  sizes: PrimeSizes,
  most: number,
): bigint[][] {
  const data = dataPrimes(chain)
  const room = MAX_LOG_QP[chain.ring] - bitsOf(data)
  const choices: bigint[][] = []
  for (let count = 1; count <= Math.min(most, data.length); count++) {
    const special = takeSpecial(
      left.copy(),
      Math.min(sizes.most, Math.floor(room / count)),
      count,
      sizes.least,
    )
    if (special !== undefined && coverDigits(data, special)) choices.push(special)
  }
  return choices
}

function takeSpecial(pool: PrimePool, bits: number, count: number, least: number): bigint[] | undefined {
  if (bits < least) return undefined
  const special = Array.from({ length: count }, () => pool.take(bits))
  return special.every((prime) => prime !== undefined) ? special : undefined
}

function coverDigits(primes: readonly bigint[], specialPrimes: readonly bigint[]): boolean {
  const chain = { primes, specialPrimes }
  const have = bitsOf(specialPrimes) + DIGIT_SLACK_BITS
  return Array.from({ length: digitCount(chain) }, (_, digit) => digitRange(chain, digit)).every(
    ({ start, end }) => bitsOf(primes.slice(start, end)) <= have,
  )
}
