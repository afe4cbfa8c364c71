import type { SimdContext } from '../context.ts'
import type { Modulus } from '../tables/modulus.ts'

/**
 * A ciphertext in kernel memory: each polynomial's residues in NTT form, prime after prime, N words for each.
 * An extended one is P times the message modulo Q * P: what key switching gives before the division by the
 * special primes.
 */
export interface Value {
  /** Addresses of the polynomials. Two values may share one. */
  readonly polynomials: readonly number[]
  /** Number of data primes, level + 1. */
  readonly primes: number
  /** Whether the residues modulo the special primes follow those modulo the data primes. */
  readonly extended: boolean
}

/** Indices into `SimdContext.moduli` of a value's residues, in the order in which they lie. */
export function limbsOf({ parameters }: SimdContext, primes: number, extended: boolean): number[] {
  const data = Array.from({ length: primes }, (_, i) => i)
  const special = parameters.specialPrimes.map((_, j) => parameters.primes.length + j)
  return extended ? [...data, ...special] : data
}

/** Bytes of one polynomial of a value with so many data primes. */
export const polynomialBytes = (context: SimdContext, primes: number, extended: boolean): number =>
  context.limbBytes * (primes + (extended ? context.parameters.specialPrimes.length : 0))

/** One polynomial's residues modulo one prime. */
export interface Limb {
  readonly modulus: Modulus
  /** Index into `SimdContext.moduli`. */
  readonly index: number
  /** Place among the value's residues: times `limbBytes` it is the distance from a polynomial's address. */
  readonly place: number
}

/** The limbs of each of a value's polynomials, in the order in which they lie. */
export const limbs = (context: SimdContext, value: Pick<Value, 'primes' | 'extended'>): Limb[] =>
  limbsOf(context, value.primes, value.extended).map((index, place) => ({
    modulus: context.moduli[index],
    index,
    place,
  }))
