import { PolyVeilError } from '../../../errors/index.ts'
import type { Polynomial } from '../../../wire/index.ts'

// SEAL 4.1's serialization without compression. Every object, nested ones too, begins with a header:
//
//   0  2  magic 0xA15E
//   2  1  length of the header, 16
//   3  2  version, 4 and 1
//   5  1  compression, 0
//   6  2  zero
//   8  8  length of the object, header included
//
// Integers are little-endian. A DynArray is a header, a 64-bit count and that many 64-bit words.
// Source: native/src/seal/{serialization.h,dynarray.h} of SEAL 4.1.

export const OBJECT_HEADER_BYTES = 16
const HEADER_START = [0x5e, 0xa1, OBJECT_HEADER_BYTES, 4, 1, 0, 0, 0]

/** Bytes of a DynArray that holds a polynomial (or several) of `halves` 32-bit halves. */
export const dynArrayBytes = (halves: number): number => OBJECT_HEADER_BYTES + 8 + 4 * halves

const asBytes = (halves: Uint32Array): Uint8Array =>
  new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength)

/** Writes one SEAL object of known length, front to back. */
export class SealWriter {
  readonly bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  constructor(length: number) {
    this.bytes = new Uint8Array(length)
    this.#view = new DataView(this.bytes.buffer)
  }

  raw(bytes: Uint8Array | readonly number[]): this {
    this.bytes.set(bytes, this.#offset)
    this.#offset += bytes.length
    return this
  }

  u64(value: number): this {
    this.#view.setBigUint64(this.#offset, BigInt(value), true)
    this.#offset += 8
    return this
  }

  f64(value: number): this {
    this.#view.setFloat64(this.#offset, value, true)
    this.#offset += 8
    return this
  }

  header(objectLength: number): this {
    return this.raw(HEADER_START).u64(objectLength)
  }

  /** One DynArray that holds the polynomials one after the other. */
  dynArray(...polynomials: readonly Polynomial[]): this {
    const halves = polynomials.reduce((total, polynomial) => total + polynomial.length, 0)
    this.header(dynArrayBytes(halves)).u64(halves / 2)
    for (const polynomial of polynomials) this.raw(asBytes(polynomial))
    return this
  }
}

/**
 * Reads one SEAL object that node-seal has written, front to back. Every field except residues, seeds and
 * scales must have the expected value.
 *
 * @throws INTERNAL on any other byte: node-seal has returned another object than expected
 */
export class SealReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** The next `length` bytes, a view. */
  raw(length: number): Uint8Array {
    const end = this.#offset + length
    if (end > this.#bytes.length) throw unexpected(this.#offset)
    const bytes = this.#bytes.subarray(this.#offset, end)
    this.#offset = end
    return bytes
  }

  expect(bytes: Uint8Array | readonly number[]): this {
    const start = this.#offset
    const found = this.raw(bytes.length)
    if (found.some((byte, index) => byte !== bytes[index])) throw unexpected(start)
    return this
  }

  u64(expected: number): this {
    const start = this.#offset
    this.raw(8)
    if (this.#view.getBigUint64(start, true) !== BigInt(expected)) throw unexpected(start)
    return this
  }

  f64(): number {
    const start = this.#offset
    this.raw(8)
    return this.#view.getFloat64(start, true)
  }

  header(objectLength: number): this {
    return this.expect(HEADER_START).u64(objectLength)
  }

  /** A DynArray that holds `count` polynomials of `halves` halves each; copies them. */
  dynArray(count: number, halves: number): Polynomial[] {
    this.header(dynArrayBytes(count * halves)).u64((count * halves) / 2)
    return Array.from({ length: count }, () => new Uint32Array(this.raw(4 * halves).slice().buffer))
  }

  /** @throws INTERNAL when bytes are left */
  end(): void {
    if (this.#offset !== this.#bytes.length) throw unexpected(this.#offset)
  }
}

const unexpected = (offset: number): PolyVeilError =>
  new PolyVeilError('INTERNAL', `node-seal wrote an object of another structure than expected`, { offset })
