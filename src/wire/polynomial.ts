import { bitLength } from '../circuit/parameters/primes.ts'
import { PolyVeilError } from '../errors/index.ts'
import { allBelow, packBits, packedBytes, unpackBits } from './bits.ts'

/** The shape of a polynomial: its degree, and the primes of its level in order. */
export interface PolynomialShape {
  /** Polynomial modulus degree N. */
  readonly ring: number
  readonly primes: readonly bigint[]
}

/**
 * The residues of one polynomial, prime after prime, N for each, in the order of SEAL's NTT form. A residue
 * is two little-endian 32-bit halves.
 */
export type Polynomial = Uint32Array

/** Length of a `Polynomial` in 32-bit halves. */
export const polynomialHalves = ({ ring, primes }: PolynomialShape): number => 2 * ring * primes.length

/** Bytes of a packed polynomial: the residues of each prime at the prime's bit size. */
export function polynomialBytes({ ring, primes }: PolynomialShape): number {
  return primes.reduce((total, prime) => total + packedBytes(ring, bitLength(prime)), 0)
}

/**
 * Packs a polynomial into the first `polynomialBytes(shape)` bytes of `target`.
 *
 * @throws INTERNAL when a residue is not below its prime, which no polynomial of ours is
 */
export function writePolynomial(shape: PolynomialShape, polynomial: Polynomial, target: Uint8Array): void {
  if (polynomial.length !== polynomialHalves(shape)) {
    throw new PolyVeilError('INTERNAL', 'A polynomial has another number of residues than its level')
  }
  let offset = 0
  shape.primes.forEach((prime, index) => {
    const residues = residuesOf(shape, polynomial, index)
    if (!allBelow(residues, prime)) throw new PolyVeilError('INTERNAL', 'A residue is not below its prime')
    const packed = packBits(residues, bitLength(prime))
    target.set(packed, offset)
    offset += packed.length
  })
}

/**
 * Unpacks a polynomial and checks every residue.
 *
 * @param bytes exactly `polynomialBytes(shape)` bytes
 * @throws TENSOR_MALFORMED when a residue is not below its prime
 */
export function readPolynomial(shape: PolynomialShape, bytes: Uint8Array): Polynomial {
  const polynomial = new Uint32Array(polynomialHalves(shape))
  let offset = 0
  shape.primes.forEach((prime, index) => {
    const residues = residuesOf(shape, polynomial, index)
    const bits = bitLength(prime)
    const length = packedBytes(shape.ring, bits)
    unpackBits(bytes.subarray(offset, offset + length), bits, residues)
    if (!allBelow(residues, prime)) throw residueTooLarge(index)
    offset += length
  })
  return polynomial
}

/** The error for a residue that is not below prime `index` of its polynomial. */
export const residueTooLarge = (index: number): PolyVeilError =>
  new PolyVeilError('TENSOR_MALFORMED', `A residue is not below its prime q_${index}`, { prime: index })

const residuesOf = ({ ring }: PolynomialShape, polynomial: Polynomial, prime: number): Uint32Array =>
  polynomial.subarray(2 * ring * prime, 2 * ring * (prime + 1))
