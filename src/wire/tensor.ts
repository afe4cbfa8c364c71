import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../errors/index.ts'
import {
  beginFrame,
  FRAME_DIGEST_BYTES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type OpenFrame,
  openFrame,
} from './frame.ts'
import type { PolynomialShape } from './polynomial.ts'
import {
  type FullRlwe,
  isSeeded,
  type PackedFullRlwe,
  type PackedRlwe,
  packedFullRlwe,
  packedRlwe,
  type Rlwe,
  readFullRlwe,
  readRlwe,
  rlweBytes,
  writeRlwe,
} from './rlwe.ts'

// Body of a tensor frame: u32 ciphertexts, u16 level, u8 seeded, u8 zero, f64 scale, then the ciphertexts.
const TENSOR_HEADER_BYTES = 16

/** Where the residues of the first ciphertext begin in the frame of an encrypted tensor. */
export const RESIDUES_OFFSET = FRAME_HEADER_BYTES + TENSOR_HEADER_BYTES

/** The figures that the size of an encrypted tensor depends on, together with the parameters. */
export interface TensorShape {
  readonly ciphertexts: number
  /** The ciphertexts have the primes q_0 .. q_level. */
  readonly level: number
  /** Fresh symmetric encryptions travel seeded, results do not. */
  readonly seeded: boolean
}

/** The form of an encrypted tensor, known before it arrives. */
export interface TensorSpec extends TensorShape {
  readonly scale: number
  /** Digest in hex of the manifest that the tensor is bound to. */
  readonly manifestDigest: string
  /** The refresh round of the tensor, and its direction; absent in queries and answers. */
  readonly refresh?: { readonly kind: 'masked' | 'refreshed'; readonly round: number }
}

/** Shape of a ciphertext's polynomials at a level. */
export const levelShape = (parameters: CkksParameters, level: number): PolynomialShape => ({
  ring: parameters.ring,
  primes: parameters.primes.slice(0, level + 1),
})

/** Exact length in bytes of a tensor's frame. */
export function tensorBytes(parameters: CkksParameters, { ciphertexts, level, seeded }: TensorShape): number {
  const payload = ciphertexts * rlweBytes(levelShape(parameters, level), seeded)
  return FRAME_HEADER_BYTES + TENSOR_HEADER_BYTES + payload + FRAME_DIGEST_BYTES
}

/** Writes an encrypted tensor ciphertext by ciphertext, in any order, without another copy of it. */
export class TensorWriter {
  readonly #shape: PolynomialShape
  readonly #spec: TensorSpec
  readonly #size: number
  readonly #frame: OpenFrame
  readonly #missing: Set<number>

  constructor(parameters: CkksParameters, spec: TensorSpec) {
    this.#shape = levelShape(parameters, spec.level)
    this.#spec = spec
    this.#size = rlweBytes(this.#shape, spec.seeded)
    const identity = { ...frameOf(spec), binding: spec.manifestDigest }
    this.#frame = beginFrame(identity, TENSOR_HEADER_BYTES + this.#size * spec.ciphertexts)
    this.#frame.body.set(tensorHeader(spec))
    this.#missing = new Set(Array.from({ length: spec.ciphertexts }, (_, index) => index))
  }

  /**
   * @param index place of the ciphertext
   * @param ciphertext at the tensor's level, seeded if the tensor is; copied
   * @throws INTERNAL when it is not what the tensor announces, or its place is taken. The frame is of no use
   *   afterwards
   */
  put(index: number, ciphertext: Rlwe | PackedRlwe | PackedFullRlwe): void {
    if (isSeeded(ciphertext) !== this.#spec.seeded || !this.#missing.has(index)) throw notAnnounced()
    const start = TENSOR_HEADER_BYTES + index * this.#size
    writeRlwe(this.#shape, ciphertext, this.#frame.body.subarray(start, start + this.#size))
    this.#missing.delete(index)
  }

  /** @returns a frame of `tensorBytes` bytes. @throws INTERNAL when a ciphertext is missing */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#missing.size > 0) throw notAnnounced()
    return this.#frame.seal()
  }
}

/**
 * Writes an encrypted tensor.
 *
 * @param ciphertexts `spec.ciphertexts` pairs at `spec.level`, all seeded or none
 * @returns a frame of `tensorBytes` bytes
 * @throws INTERNAL when the ciphertexts are not what `spec` says
 */
export function encodeTensor(
  parameters: CkksParameters,
  spec: TensorSpec,
  ciphertexts: readonly (Rlwe | PackedRlwe | PackedFullRlwe)[],
): Uint8Array<ArrayBuffer> {
  const writer = new TensorWriter(parameters, spec)
  ciphertexts.forEach((ciphertext, index) => {
    writer.put(index, ciphertext)
  })
  return writer.finish()
}

const notAnnounced = (): PolyVeilError =>
  new PolyVeilError('INTERNAL', 'The ciphertexts are not those that the tensor announces')

/**
 * Reads an encrypted tensor and checks all of it: length, digest, count, level, scale, seeds, every residue.
 *
 * @param frame bytes from anywhere; not changed, not kept
 * @param spec what the manifest says must come; anything else is refused
 * @throws PARAMETERS_MISMATCH when the frame is bound to another manifest
 * @throws TOO_LARGE when it is longer than `spec` makes it
 * @throws TENSOR_MALFORMED on anything else
 */
export function decodeTensor(parameters: CkksParameters, spec: TensorSpec, frame: Uint8Array): Rlwe[] {
  const shape = levelShape(parameters, spec.level)
  return pairsOf(parameters, spec, frame).map((bytes) => readRlwe(shape, bytes, spec.seeded))
}

/**
 * Reads a tensor whose pairs have two polynomials, as `decodeTensor` does.
 *
 * @param spec of a tensor that is not seeded
 */
export function decodeFullTensor(
  parameters: CkksParameters,
  spec: TensorSpec,
  frame: Uint8Array,
): FullRlwe[] {
  const shape = levelShape(parameters, spec.level)
  return pairsOf(parameters, spec, frame).map((bytes) => readFullRlwe(shape, bytes))
}

/**
 * Opens a tensor of fresh encryptions without unpacking it, and checks everything but its residues. The
 * caller unpacks and checks the residues in memory of its own.
 *
 * @param frame not changed; the result refers to it
 * @param spec of a seeded tensor
 * @throws as `decodeTensor`
 */
export function openTensor(parameters: CkksParameters, spec: TensorSpec, frame: Uint8Array): PackedRlwe[] {
  const shape = levelShape(parameters, spec.level)
  return pairsOf(parameters, spec, frame).map((bytes) => packedRlwe(shape, bytes))
}

/**
 * Opens a tensor whose pairs have two polynomials, as `openTensor` does.
 *
 * @param spec of a tensor that is not seeded
 */
export function openFullTensor(
  parameters: CkksParameters,
  spec: TensorSpec,
  frame: Uint8Array,
): PackedFullRlwe[] {
  const shape = levelShape(parameters, spec.level)
  return pairsOf(parameters, spec, frame).map((bytes) => packedFullRlwe(shape, bytes))
}

/** The bytes of each pair of a frame whose header, length and digest are right. */
function pairsOf(parameters: CkksParameters, spec: TensorSpec, frame: Uint8Array): Uint8Array[] {
  const body = openFrame(frame, {
    ...frameOf(spec),
    binding: spec.manifestDigest,
    length: tensorBytes(parameters, spec),
  })
  checkTensorHeader(body, spec)
  const size = rlweBytes(levelShape(parameters, spec.level), spec.seeded)
  return Array.from({ length: spec.ciphertexts }, (_, index) => {
    const start = TENSOR_HEADER_BYTES + index * size
    return body.subarray(start, start + size)
  })
}

const frameOf = ({ refresh }: TensorSpec): Pick<FrameHeader, 'kind' | 'round'> =>
  refresh ?? { kind: 'tensor' }

function tensorHeader(spec: TensorSpec): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(TENSOR_HEADER_BYTES))
  view.setUint32(0, spec.ciphertexts, true)
  view.setUint16(4, spec.level, true)
  view.setUint8(6, spec.seeded ? 1 : 0)
  view.setFloat64(8, spec.scale, true)
  return new Uint8Array(view.buffer)
}

function checkTensorHeader(body: Uint8Array, spec: TensorSpec): void {
  const view = new DataView(body.buffer, body.byteOffset)
  expectField('ciphertexts', view.getUint32(0, true), spec.ciphertexts)
  expectField('level', view.getUint16(4, true), spec.level)
  expectField('seeded', view.getUint8(6), spec.seeded ? 1 : 0)
  expectField('reserved', view.getUint8(7), 0)
  expectField('scale', view.getFloat64(8, true), spec.scale)
}

function expectField(field: string, found: number, expected: number): void {
  if (found === expected) return
  throw new PolyVeilError('TENSOR_MALFORMED', `The tensor's ${field} is ${found}, expected ${expected}`, {
    field,
    found,
    expected,
  })
}
