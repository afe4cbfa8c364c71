import { ephemeralChain } from '../circuit/parameters/ephemeral.ts'
import { type CkksParameters, digitCount } from '../circuit/parameters/parameters.ts'
import { FRAME_DIGEST_BYTES, FRAME_HEADER_BYTES } from './frame.ts'
import type { PolynomialShape } from './polynomial.ts'
import { rlweBytes } from './rlwe.ts'

// Body of a key set frame: u32 number of Galois elements, u32 zero, the elements as u32 in ascending order;
// then, all seeded and over all primes, the public key (one pair), the relinearisation key and a Galois key
// for each element (one pair for each digit of the decomposition).
//
// Where the parameters have a raise level r, the two keys of the ephemeral secret follow: `down`, which
// switches to it, with r + 1 pairs over q_0 .. q_r and the first special prime; and `up`, which switches
// back, with the pairs and primes of a Galois key.

/** The two keys with which a server raises moduli: to the ephemeral secret, and back. */
export type RaiseKeyName = 'down' | 'up'

/** A key switching key in a frame. */
export interface KeyPlace {
  /** Shape of every polynomial: data primes, then special primes. */
  readonly shape: PolynomialShape
  /** Number of pairs. */
  readonly digits: number
  readonly pairBytes: number
  /** Offset in bytes from the beginning of the frame. */
  readonly at: number
}

/** The offsets of all parts of a key set frame, in bytes from its beginning. */
export interface KeySetLayout {
  /** Shape of every polynomial, but for those of the `down` key: data primes, then special primes. */
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
  /** Absent where the parameters have no raise level. */
  readonly raiseKeys?: Readonly<Record<RaiseKeyName, KeyPlace>>
  /** Length of the whole frame. */
  readonly totalBytes: number
}

/** Length of the part of the body before the elements. */
export const KEY_SET_COUNT_BYTES = 8

export function keySetLayout(parameters: CkksParameters, galoisKeys: number): KeySetLayout {
  const shape = shapeOf(parameters.ring, parameters)
  const digits = digitCount(parameters)
  const pairBytes = rlweBytes(shape, true)
  const keyBytes = digits * pairBytes
  const headBytes = FRAME_HEADER_BYTES + KEY_SET_COUNT_BYTES + 4 * galoisKeys
  const relinKeyAt = headBytes + pairBytes
  const galoisKeyAt = (index: number): number => relinKeyAt + (1 + index) * keyBytes
  const raiseKeys = raiseKeyPlaces(parameters, galoisKeyAt(galoisKeys))
  const end = raiseKeys ? raiseKeys.up.at + keyBytes : galoisKeyAt(galoisKeys)
  return {
    shape,
    digits,
    pairBytes,
    headBytes,
    keyBytes,
    publicKeyAt: headBytes,
    relinKeyAt,
    galoisKeyAt,
    ...(raiseKeys && { raiseKeys }),
    totalBytes: end + FRAME_DIGEST_BYTES,
  }
}

/** @param start offset of the first key */
function raiseKeyPlaces(parameters: CkksParameters, start: number): KeySetLayout['raiseKeys'] {
  const { ring, raiseLevel } = parameters
  if (raiseLevel === undefined) return undefined
  const down = keyPlace(ring, ephemeralChain(parameters, raiseLevel), start)
  return { down, up: keyPlace(ring, parameters, start + down.digits * down.pairBytes) }
}

type Chain = Pick<CkksParameters, 'primes' | 'specialPrimes'>

function keyPlace(ring: number, chain: Chain, at: number): KeyPlace {
  const shape = shapeOf(ring, chain)
  return { shape, digits: digitCount(chain), pairBytes: rlweBytes(shape, true), at }
}

const shapeOf = (ring: number, { primes, specialPrimes }: Chain): PolynomialShape => ({
  ring,
  primes: [...primes, ...specialPrimes],
})

/** Exact length in bytes of the frame of a key set with these Galois elements. */
export const keySetBytes = (parameters: CkksParameters, galoisElements: readonly number[]): number =>
  keySetLayout(parameters, galoisElements.length).totalBytes
