import { type CkksParameters, digitCount } from '../circuit/parameters/parameters.ts'
import { FRAME_DIGEST_BYTES, FRAME_HEADER_BYTES } from './frame.ts'
import type { PolynomialShape } from './polynomial.ts'
import { rlweBytes } from './rlwe.ts'

// Body of a key set frame: u32 number of Galois elements, u32 zero, the elements as u32 in ascending order;
// then, all seeded and over all primes, the public key (one pair), the relinearisation key and a Galois key
// for each element (one pair for each digit of the decomposition).

/** The offsets of all parts of a key set frame, in bytes from its beginning. */
export interface KeySetLayout {
  /** Shape of every polynomial: data primes, then special primes. */
  readonly shape: PolynomialShape
  /** Pairs in a key switching key: one for each digit of the data primes. */
  readonly digits: number
  readonly pairBytes: number
  /** Header, count and elements. */
  readonly headBytes: number
  readonly keyBytes: number
  readonly publicKeyAt: number
  readonly relinKeyAt: number
  galoisKeyAt(index: number): number
  /** Length of the whole frame. */
  readonly totalBytes: number
}

/** Length of the part of the body before the elements. */
export const KEY_SET_COUNT_BYTES = 8

export function keySetLayout(parameters: CkksParameters, galoisKeys: number): KeySetLayout {
  const shape = { ring: parameters.ring, primes: [...parameters.primes, ...parameters.specialPrimes] }
  const digits = digitCount(parameters)
  const pairBytes = rlweBytes(shape, true)
  const keyBytes = digits * pairBytes
  const headBytes = FRAME_HEADER_BYTES + KEY_SET_COUNT_BYTES + 4 * galoisKeys
  const relinKeyAt = headBytes + pairBytes
  const galoisKeyAt = (index: number): number => relinKeyAt + (1 + index) * keyBytes
  return {
    shape,
    digits,
    pairBytes,
    headBytes,
    keyBytes,
    publicKeyAt: headBytes,
    relinKeyAt,
    galoisKeyAt,
    totalBytes: galoisKeyAt(galoisKeys) + FRAME_DIGEST_BYTES,
  }
}

/** Exact length in bytes of the frame of a key set with these Galois elements. */
export const keySetBytes = (parameters: CkksParameters, galoisElements: readonly number[]): number =>
  keySetLayout(parameters, galoisElements.length).totalBytes
