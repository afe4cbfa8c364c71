import type { ModulusChain } from '../../circuit/laws.ts'
import { type CkksParameters, checkParameters, MAX_LOG_QP } from '../../circuit/parameters.ts'
import { nttPrimes } from '../../circuit/primes.ts'

/** Largest prime that SEAL's arithmetic allows. */
export const MAX_PRIME_BITS = 60

/** Sizes of the primes of a plan. */
export interface ChainBits {
  readonly ring: number
  /** Size of q_0, which has to hold the logits at their scale. */
  readonly base: number
  /** Size of each of the `levels` primes above q_0. */
  readonly prime: number
  readonly levels: number
}

/** Bits of all data primes together. */
export const dataBits = ({ base, prime, levels }: ChainBits): number => base + prime * levels

/**
 * Size of the special prime: as large as the security table leaves room for, since the noise of key switching shrinks
 * with it, and never smaller than a digit.
 *
 * @returns undefined when the chain does not leave room for one
 */
export function specialBits(bits: ChainBits): number | undefined {
  const room = Math.floor(MAX_LOG_QP[bits.ring] - dataBits(bits))
  const least = Math.max(bits.base, bits.prime)
  return room < least ? undefined : Math.min(room, MAX_PRIME_BITS)
}

/** Checked parameters with primes of the given sizes. */
export function parametersOf(bits: ChainBits, special: number): CkksParameters {
  const sizes = [bits.base, ...new Array<number>(bits.levels).fill(bits.prime), special]
  const primes = nttPrimes(bits.ring, sizes).map(String)
  return checkParameters({ ring: bits.ring, primes: primes.slice(0, -1), specialPrimes: primes.slice(-1) })
}

/** A chain of more levels than any circuit needs, to find out how many are needed. */
export const draftChain = (ring: number, primeBits: number): ModulusChain => ({
  slots: ring / 2,
  primes: new Array<bigint>(DRAFT_LEVELS + 1).fill(1n << BigInt(primeBits)),
  topLevel: DRAFT_LEVELS,
})

export const DRAFT_LEVELS = 250
