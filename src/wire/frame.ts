import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { digestOf } from '../circuit/format/digest.ts'
import { PolyVeilError } from '../errors/index.ts'

// Every frame, all integers little-endian:
//
//   0   4  magic "PVWF"
//   4   1  version, 1
//   5   1  kind
//   6   2  refresh round, in frames of rounds; zero in all others
//   8   8  length of the whole frame
//  16  32  digest that the content is bound to (of a manifest or of parameters)
//  48   .  body
//   .  32  SHA-256 of everything before

/** The kinds of content of a frame. */
export const FRAME_KIND = Object.freeze({ tensor: 1, keySet: 2, secretKey: 3, masked: 4, refreshed: 5 })
export type FrameKind = keyof typeof FRAME_KIND

export const FRAME_HEADER_BYTES = 48
export const FRAME_DIGEST_BYTES = 32
const MAGIC = [0x50, 0x56, 0x57, 0x46]
const VERSION = 1

/** The header of a frame. */
export interface FrameHeader {
  readonly kind: FrameKind
  /** Digest in hex that the content is bound to. */
  readonly binding: string
  /**
   * Refresh round that the content belongs to, below 2^16. Only `masked` and `refreshed` frames have one.
   */
  readonly round?: number
  /** Length of the whole frame in bytes, header and digest included. */
  readonly length: number
}

export function frameHeader({ kind, binding, round = 0, length }: FrameHeader): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES)
  bytes.set([...MAGIC, VERSION, FRAME_KIND[kind]])
  const view = new DataView(bytes.buffer)
  view.setUint16(6, round, true)
  view.setBigUint64(8, BigInt(length), true)
  bytes.set(hexToBytes(binding), 16)
  return bytes
}

/**
 * Checks the identity of a frame: magic, version, kind, round and the digest that it is bound to. Call it
 * before anything else of the frame is read.
 *
 * @param head the first `FRAME_HEADER_BYTES` bytes, or all there are
 * @throws PARAMETERS_MISMATCH when the content is bound to another digest
 * @throws TENSOR_MALFORMED when the bytes are no frame, are cut off, or have another version, kind or refresh
 *   round
 */
export function checkFrameIdentity(head: Uint8Array, kind: FrameKind, binding: string, round = 0): void {
  if (head.length < FRAME_HEADER_BYTES) throw malformed(`The frame is cut off within its header`)
  if (MAGIC.some((byte, index) => head[index] !== byte)) throw malformed('The bytes are no PolyVeil frame')
  if (head[4] !== VERSION)
    throw malformed(`Frame version ${head[4]} is unknown; this program reads ${VERSION}`)
  if (head[5] !== FRAME_KIND[kind])
    throw malformed(`The frame is not what belongs here, ${FRAME_NAMES[kind]}`)
  const claimed = head[6] + 256 * head[7]
  if (claimed !== round) throw malformed(`The frame belongs to refresh round ${claimed}, not to ${round}`)
  const found = bytesToHex(head.subarray(16, FRAME_HEADER_BYTES))
  if (found !== binding) throw boundElsewhere(found, binding)
}

/**
 * The digest that a frame of a kind is bound to, from its header; undefined when the bytes begin otherwise.
 */
export function frameBinding(frame: Uint8Array, kind: FrameKind): string | undefined {
  if (frame.length < FRAME_HEADER_BYTES) return undefined
  const binding = bytesToHex(frame.subarray(16, FRAME_HEADER_BYTES))
  const expected = frameHeader({ kind, binding, length: frame.length })
  return expected.every((byte, index) => frame[index] === byte) ? binding : undefined
}

/**
 * Checks a frame's length: the bytes that exist, the bytes that its header claims, and the bytes that its
 * content takes.
 *
 * @param head at least `FRAME_HEADER_BYTES` bytes
 * @param size bytes that exist
 * @throws TOO_LARGE when there are more than `expected`; TENSOR_MALFORMED on fewer, or when the header
 *   disagrees
 */
export function checkFrameLength(head: Uint8Array, size: number, expected: number): void {
  if (size < expected) throw truncated(size, expected)
  if (size > expected) throw tooLong(size, expected)
  const claimed = new DataView(head.buffer, head.byteOffset).getBigUint64(8, true)
  if (claimed !== BigInt(size)) throw malformed('The frame claims another length than it has')
}

/** The digest that a checked frame ends with. */
export const frameDigest = (frame: Uint8Array): Uint8Array => frame.subarray(-FRAME_DIGEST_BYTES)

/** Joins header, body and digest into one frame. */
export const sealFrame = (
  kind: FrameKind,
  binding: string,
  body: Uint8Array,
  round = 0,
): Uint8Array<ArrayBuffer> => {
  const frame = beginFrame({ kind, binding, round }, body.length)
  frame.body.set(body)
  return frame.seal()
}

/** A frame whose body is written in place. */
export interface OpenFrame {
  /** The bytes of the body, all zero at first. */
  readonly body: Uint8Array
  /** The frame with its digest. The body must not be written to afterwards. */
  readonly seal: () => Uint8Array<ArrayBuffer>
}

/** Begins a frame whose body is written in place, without a copy. @param bodyBytes length of the body */
export function beginFrame(identity: Omit<FrameHeader, 'length'>, bodyBytes: number): OpenFrame {
  const end = FRAME_HEADER_BYTES + bodyBytes
  const frame = new Uint8Array(end + FRAME_DIGEST_BYTES)
  frame.set(frameHeader({ ...identity, length: frame.length }))
  const seal = (): Uint8Array<ArrayBuffer> => {
    frame.set(digestOf(frame.subarray(0, end)), end)
    return frame
  }
  return { body: frame.subarray(FRAME_HEADER_BYTES, end), seal }
}

/**
 * Checks header, length and digest of a frame in memory.
 *
 * @returns the body, a view into `frame`
 * @throws as `checkFrameIdentity` and `checkFrameLength`; TENSOR_MALFORMED when the digest is wrong
 */
export function openFrame(frame: Uint8Array, expected: FrameHeader): Uint8Array {
  checkFrameIdentity(frame.subarray(0, FRAME_HEADER_BYTES), expected.kind, expected.binding, expected.round)
  checkFrameLength(frame, frame.length, expected.length)
  const end = frame.length - FRAME_DIGEST_BYTES
  checkFrameDigest(digestOf(frame.subarray(0, end)), frame.subarray(end))
  return frame.subarray(FRAME_HEADER_BYTES, end)
}

/** @throws TENSOR_MALFORMED when a frame's digest is not the one at its end */
export function checkFrameDigest(computed: Uint8Array, written: Uint8Array): void {
  if (computed.every((byte, index) => byte === written[index])) return
  throw malformed('The frame does not have the digest at its end: bytes were altered on the way')
}

const FRAME_NAMES: Readonly<Record<FrameKind, string>> = {
  tensor: 'an encrypted tensor',
  keySet: 'a key set',
  secretKey: 'a secret key',
  masked: 'the masked tensor of a refresh',
  refreshed: 'the answer to a refresh',
}

const malformed = (message: string): PolyVeilError => new PolyVeilError('TENSOR_MALFORMED', message)

const truncated = (bytes: number, expectedBytes: number): PolyVeilError =>
  new PolyVeilError('TENSOR_MALFORMED', `The frame is cut off: ${bytes} of ${expectedBytes} bytes`, {
    bytes,
    expectedBytes,
  })

const tooLong = (bytes: number, expectedBytes: number): PolyVeilError =>
  new PolyVeilError('TOO_LARGE', `The frame has ${bytes} bytes where ${expectedBytes} belong`, {
    bytes,
    expectedBytes,
  })

const boundElsewhere = (digest: string, expectedDigest: string): PolyVeilError =>
  new PolyVeilError(
    'PARAMETERS_MISMATCH',
    `The frame is bound to digest ${digest.slice(0, 12)}, not to ${expectedDigest.slice(0, 12)}`,
    { digest, expectedDigest },
  )
