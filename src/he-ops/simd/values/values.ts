import type { SimdContext } from '../context.ts'
import type { Modulus } from '../tables/modulus.ts'

/**
 * A ciphertext in kernel memory: each polynomial's residues in NTT form, prime after prime, N words for each.
 * An extended value is P times the message modulo Q * P, the result of key switching before ModDown.
 */
export interface Value {
  /** Addresses of the polynomials. Two values may share one. */
  readonly polynomials: readonly number[]
  /** Number of data primes, level + 1. */
  readonly primes: number
  /** Whether the residues modulo the special primes follow those modulo the data primes. */
  readonly extended: boolean
}

/** Indices into `SimdContext.moduli` of a value's limbs, in the order of memory. */
export function limbsOf({ parameters }: SimdContext, primes: number, extended: boolean): number[] {
  const data = Array.from({ length: primes }, (_, i) => i)
  const special = parameters.specialPrimes.map((_, j) => parameters.primes.length + j)
  return extended ? [...data, ...special] : data
}

/** Bytes of one polynomial with this many data primes. */
export const polynomialBytes = (context: SimdContext, primes: number, extended: boolean): number =>
  context.limbBytes * (primes + (extended ? context.parameters.specialPrimes.length : 0))

/** One polynomial's residues modulo one prime. */
export interface Limb {
  readonly modulus: Modulus
  /** Index into `SimdContext.moduli`. */
  readonly index: number
  /** Place among the value's limbs; `place * limbBytes` is the distance from the polynomial's address. */
  readonly place: number
}

/** The limbs of each of a value's polynomials, in the order of memory. */
export const limbs = (context: SimdContext, value: Pick<Value, 'primes' | 'extended'>): Limb[] =>
  limbsOf(context, value.primes, value.extended).map((index, place) => ({
    modulus: context.moduli[index],
    index,
    place,
  }))
