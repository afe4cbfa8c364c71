import { bitLength } from '../circuit/parameters/primes.ts'
import { PolyVeilError } from '../errors/index.ts'
import { packedBelow, packedBytes } from './bits.ts'
import {
  type Polynomial,
  type PolynomialShape,
  polynomialBytes,
  readPolynomial,
  residueTooLarge,
  writePolynomial,
} from './polynomial.ts'

/** Bytes of the public seed that a uniform second polynomial is expanded from. */
export const SEED_BYTES = 64
/** The only expander in use: BLAKE2Xb, which SEAL numbers 1. */
export const SEED_BLAKE2XB = 1
/** A seed travels behind its expander's number, filled up to four bytes. */
const SEED_RECORD_BYTES = 4 + SEED_BYTES

/** A pair of polynomials (c0, c1) with c0 + c1 s = m + e, as ciphertexts and all keys are. */
export type Rlwe = SeededRlwe | FullRlwe

/** A fresh encryption under the secret key: c1 is uniform and travels as the seed it is expanded from. */
export interface SeededRlwe {
  readonly c0: Polynomial
  readonly seed: Uint8Array
}

export interface FullRlwe {
  readonly c0: Polynomial
  readonly c1: Polynomial
}

export const isSeeded = <Pair extends Rlwe | PackedRlwe | PackedFullRlwe>(
  rlwe: Pair,
): rlwe is Exclude<Pair, FullRlwe | PackedFullRlwe> => 'seed' in rlwe

/** Bytes of a pair on the wire. */
export function rlweBytes(shape: PolynomialShape, seeded: boolean): number {
  const polynomial = polynomialBytes(shape)
  return polynomial + (seeded ? SEED_RECORD_BYTES : polynomial)
}

/** Residues of a polynomial modulo one prime in packed form: N of `bits` bits each, unchecked. */
export interface PackedLimb {
  readonly prime: bigint
  readonly bits: number
  readonly bytes: Uint8Array
}

/** A seeded pair in packed form. Only the record of its seed has been checked. */
export interface PackedRlwe {
  /** The first polynomial, prime after prime. */
  readonly limbs: readonly PackedLimb[]
  readonly seed: Uint8Array
}

/** A pair of two polynomials in packed form. */
export interface PackedFullRlwe {
  /** The first polynomial, prime after prime. */
  readonly limbs: readonly PackedLimb[]
  /** The second polynomial, prime after prime. */
  readonly second: readonly PackedLimb[]
}

/**
 * Splits a seeded pair into its parts without unpacking them. The caller unpacks and checks the residues in
 * memory of its own.
 *
 * @param bytes exactly `rlweBytes(shape, true)` bytes; the result refers to them
 * @throws TENSOR_MALFORMED when the seed's expander is unknown
 */
export function packedRlwe(shape: PolynomialShape, bytes: Uint8Array): PackedRlwe {
  return { limbs: packedLimbs(shape, bytes), seed: readSeed(bytes.subarray(polynomialBytes(shape))) }
}

/**
 * Splits a pair of two polynomials into its parts without unpacking them.
 *
 * @param bytes exactly `rlweBytes(shape, false)` bytes
 * @throws TENSOR_MALFORMED when the second polynomial is zero
 */
export function packedFullRlwe(shape: PolynomialShape, bytes: Uint8Array): PackedFullRlwe {
  const second = bytes.subarray(polynomialBytes(shape))
  requireSecond(second)
  return { limbs: packedLimbs(shape, bytes), second: packedLimbs(shape, second) }
}

function packedLimbs({ ring, primes }: PolynomialShape, bytes: Uint8Array): PackedLimb[] {
  let offset = 0
  return primes.map((prime) => {
    const bits = bitLength(prime)
    const start = offset
    offset += packedBytes(ring, bits)
    return { prime, bits, bytes: bytes.subarray(start, offset) }
  })
}

/**
 * Refuses a zero c1: the ciphertext would hide nothing (SEAL calls it transparent), and SEAL throws on it in
 * the middle of an operation.
 *
 * @throws TENSOR_MALFORMED when all of c1 is zero
 */
function requireSecond(c1: Uint8Array | Polynomial): void {
  if (c1.some((part: number) => part !== 0)) return
  throw new PolyVeilError('TENSOR_MALFORMED', 'A second polynomial is zero, so nothing is encrypted')
}

/** @throws TENSOR_MALFORMED when a residue is not below its prime */
export function checkPacked({ ring }: PolynomialShape, { limbs }: PackedRlwe): void {
  const bad = limbs.findIndex(({ prime, bits, bytes }) => !packedBelow(bytes, bits, ring, prime))
  if (bad >= 0) throw residueTooLarge(bad)
}

/**
 * Writes a pair into the first `rlweBytes` bytes of `target`, which must be zero.
 *
 * @param rlwe a packed pair has the shape's primes, and was packed from residues below them
 * @throws INTERNAL when the pair is of another shape or, unless it is packed, a residue is not below its
 *   prime
 */
export function writeRlwe(
  shape: PolynomialShape,
  rlwe: Rlwe | PackedRlwe | PackedFullRlwe,
  target: Uint8Array,
): void {
  if ('limbs' in rlwe) writeLimbs(shape, rlwe.limbs, target)
  else writePolynomial(shape, rlwe.c0, target)
  const second = target.subarray(polynomialBytes(shape))
  if ('seed' in rlwe) {
    second[0] = SEED_BLAKE2XB
    second.set(rlwe.seed, 4)
  } else if ('second' in rlwe) {
    writeLimbs(shape, rlwe.second, second)
  } else {
    writePolynomial(shape, rlwe.c1, second)
  }
}

function writeLimbs(
  { ring, primes }: PolynomialShape,
  limbs: readonly PackedLimb[],
  target: Uint8Array,
): void {
  let offset = 0
  primes.forEach((prime, i) => {
    const { length } = limbs[i]?.bytes ?? []
    if (limbs[i]?.prime !== prime || length !== packedBytes(ring, bitLength(prime))) {
      throw new PolyVeilError('INTERNAL', 'A packed polynomial has another shape than its level')
    }
    target.set(limbs[i].bytes, offset)
    offset += length
  })
}

/**
 * Reads a pair and checks all of it.
 *
 * @param bytes exactly `rlweBytes(shape, seeded)` bytes
 * @throws TENSOR_MALFORMED when a residue is not below its prime, the seed's expander is unknown, or c1 is
 *   zero
 */
export function readRlwe(shape: PolynomialShape, bytes: Uint8Array, seeded: boolean): Rlwe {
  if (!seeded) return readFullRlwe(shape, bytes)
  const length = polynomialBytes(shape)
  const c0 = readPolynomial(shape, bytes.subarray(0, length))
  return { c0, seed: readSeed(bytes.subarray(length)) }
}

/** Reads a pair of two polynomials, as `readRlwe` does. */
export function readFullRlwe(shape: PolynomialShape, bytes: Uint8Array): FullRlwe {
  const length = polynomialBytes(shape)
  const c0 = readPolynomial(shape, bytes.subarray(0, length))
  const c1 = readPolynomial(shape, bytes.subarray(length))
  requireSecond(c1)
  return { c0, c1 }
}

function readSeed(record: Uint8Array): Uint8Array {
  const [type, ...padding] = record.subarray(0, 4)
  if (type !== SEED_BLAKE2XB || padding.some((byte) => byte !== 0)) {
    throw new PolyVeilError('TENSOR_MALFORMED', `Seed type ${type} is unknown`, { seedType: type })
  }
  return record.slice(4, SEED_RECORD_BYTES)
}
