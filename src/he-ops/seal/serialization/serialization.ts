import {
  type FullRlwe,
  isSeeded,
  levelShape,
  type Polynomial,
  type PolynomialShape,
  polynomialHalves,
  type Rlwe,
  SEED_BLAKE2XB,
  SEED_BYTES,
  type SeededRlwe,
} from '../../../wire/index.ts'
import type { SealContext } from '../context.ts'
import { dynArrayBytes, OBJECT_HEADER_BYTES, SealReader, SealWriter } from './bytes.ts'

// Our residue records to and from the objects of SEAL 4.1 that hold polynomials, all in NTT form where
// nothing else is said:
//
//   Ciphertext   header, parms_id (32), is_ntt_form (1), size, N, number of primes, scale (f64), correction factor,
// DynArray of all polynomials, or of the first alone and then the seed: header, type (1), seed (64). A public
// key is a ciphertext at the key level.
//   Plaintext    header, parms_id, count, scale, DynArray. A secret key is a plaintext at the key level.
//   KSwitchKeys  header, parms_id, number of outer vectors, and for each of them the number of its ciphertexts and
//                these. Galois element e has outer vector (e - 1) / 2, the relinearisation key vector 0.
//
// Source: save_members in native/src/seal/{ciphertext,plaintext,kswitchkeys}.cpp.

const CIPHERTEXT_FIELDS_BYTES = 32 + 1 + 5 * 8
const SEED_OBJECT_BYTES = OBJECT_HEADER_BYTES + 1 + SEED_BYTES

/** A level of SEAL's chain: its identifier in serialized objects, and the shape of its polynomials. */
export interface SealLevel extends PolynomialShape {
  readonly id: Uint8Array
}

/** Level l of ciphertexts, with the primes q_0 .. q_l. */
export const dataLevel = (ctx: SealContext, level: number): SealLevel => ({
  ...levelShape(ctx.parameters, level),
  id: ctx.levelIdBytes[level],
})

/** The level of keys: all data primes, then the special ones. */
export const keyLevel = ({ parameters, keyIdBytes }: SealContext): SealLevel => ({
  ring: parameters.ring,
  primes: [...parameters.primes, ...parameters.specialPrimes],
  id: keyIdBytes,
})

const ciphertextBytes = (level: PolynomialShape, seeded: boolean): number =>
  seeded ? polynomialsBytes(level, 1) + SEED_OBJECT_BYTES : polynomialsBytes(level, 2)

/** Bytes of a Ciphertext with so many polynomials written out. */
const polynomialsBytes = (level: PolynomialShape, polynomials: number): number =>
  OBJECT_HEADER_BYTES + CIPHERTEXT_FIELDS_BYTES + dynArrayBytes(polynomialHalves(level) * polynomials)

/** The numbers of a polynomial: values at the roots, or coefficients. */
export type PolynomialForm = 'ntt' | 'coefficients'

/** A pair as SEAL's Ciphertext (or PublicKey) of two polynomials. Residues must have been checked. */
export function ciphertextToSeal(
  level: SealLevel,
  rlwe: Rlwe,
  scale: number,
  form: PolynomialForm = 'ntt',
): Uint8Array {
  const writer = new SealWriter(ciphertextBytes(level, isSeeded(rlwe)))
  writeCiphertext(writer, level, rlwe, scale, form)
  return writer.bytes
}

function writeCiphertext(
  writer: SealWriter,
  level: SealLevel,
  rlwe: Rlwe,
  scale: number,
  form: PolynomialForm = 'ntt',
): void {
  writer.header(ciphertextBytes(level, isSeeded(rlwe)))
  writeCiphertextFields(writer, level, 2, scale, form)
  if (!isSeeded(rlwe)) writer.dynArray(rlwe.c0, rlwe.c1)
  else writer.dynArray(rlwe.c0).header(SEED_OBJECT_BYTES).raw([SEED_BLAKE2XB]).raw(rlwe.seed)
}

function writeCiphertextFields(
  writer: SealWriter,
  level: SealLevel,
  polynomials: number,
  scale: number,
  form: PolynomialForm,
): void {
  writer
    .raw(level.id)
    .raw([form === 'ntt' ? 1 : 0])
    .u64(polynomials)
    .u64(level.ring)
    .u64(level.primes.length)
    .f64(scale)
    .u64(1)
}

/** Any number of polynomials as SEAL's Ciphertext. Residues must have been checked. */
export function polynomialsToSeal(
  level: SealLevel,
  polynomials: readonly Polynomial[],
  scale: number,
  form: PolynomialForm,
): Uint8Array {
  const length = polynomialsBytes(level, polynomials.length)
  const writer = new SealWriter(length).header(length)
  writeCiphertextFields(writer, level, polynomials.length, scale, form)
  return writer.dynArray(...polynomials).bytes
}

/** A seeded Ciphertext (or PublicKey) that node-seal has made. */
export function seededFromSeal(level: SealLevel, bytes: Uint8Array): SeededRlwe {
  const reader = new SealReader(bytes)
  const rlwe = readSeeded(reader, level)
  reader.end()
  return rlwe
}

/** A Ciphertext of two polynomials that node-seal has made. */
export function ciphertextFromSeal(level: SealLevel, bytes: Uint8Array): FullRlwe {
  const reader = new SealReader(bytes)
  readCiphertextFields(reader, level, false)
  const [c0, c1] = reader.dynArray(2, polynomialHalves(level))
  reader.end()
  return { c0, c1 }
}

function readSeeded(reader: SealReader, level: SealLevel): SeededRlwe {
  readCiphertextFields(reader, level, true)
  const [c0] = reader.dynArray(1, polynomialHalves(level))
  reader.header(SEED_OBJECT_BYTES).expect([SEED_BLAKE2XB])
  return { c0, seed: reader.raw(SEED_BYTES).slice() }
}

function readCiphertextFields(reader: SealReader, level: SealLevel, seeded: boolean): void {
  reader.header(ciphertextBytes(level, seeded))
  reader.expect(level.id).expect([1]).u64(2).u64(level.ring).u64(level.primes.length)
  reader.f64()
  reader.u64(1)
}

/** A key switching key as SEAL's RelinKeys or GaloisKeys with `vectors` outer vectors, all empty but one. */
export function switchingKeyToSeal(
  level: SealLevel,
  pairs: readonly Rlwe[],
  { vectors, vector }: { readonly vectors: number; readonly vector: number },
): Uint8Array {
  const length = switchingKeyBytes(level, vectors, pairs.length, isSeeded(pairs[0]))
  const writer = new SealWriter(length).header(length).raw(level.id).u64(vectors)
  for (let index = 0; index < vectors; index++) {
    if (index !== vector) {
      writer.u64(0)
      continue
    }
    writer.u64(pairs.length)
    for (const pair of pairs) writeCiphertext(writer, level, pair, 1)
  }
  return writer.bytes
}

const switchingKeyBytes = (level: SealLevel, vectors: number, digits: number, seeded: boolean): number =>
  OBJECT_HEADER_BYTES + 32 + 8 + 8 * vectors + digits * ciphertextBytes(level, seeded)

/** A polynomial as SEAL's Plaintext in NTT form (or SecretKey). */
export function plaintextToSeal(level: SealLevel, polynomial: Polynomial, scale: number): Uint8Array {
  const length = plaintextBytes(level)
  const writer = new SealWriter(length).header(length).raw(level.id)
  return writer
    .u64(polynomial.length / 2)
    .f64(scale)
    .dynArray(polynomial).bytes
}

/** A Plaintext in NTT form (or SecretKey) that node-seal has made. */
export function plaintextFromSeal(level: SealLevel, bytes: Uint8Array): Polynomial {
  const reader = new SealReader(bytes)
  reader
    .header(plaintextBytes(level))
    .expect(level.id)
    .u64(polynomialHalves(level) / 2)
  reader.f64()
  const [polynomial] = reader.dynArray(1, polynomialHalves(level))
  reader.end()
  return polynomial
}

const plaintextBytes = (level: PolynomialShape): number =>
  OBJECT_HEADER_BYTES + 32 + 8 + 8 + dynArrayBytes(polynomialHalves(level))
