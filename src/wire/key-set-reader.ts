import { createDigest } from '../circuit/format/digest.ts'
import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../errors/index.ts'
import {
  checkFrameDigest,
  checkFrameIdentity,
  checkFrameLength,
  FRAME_DIGEST_BYTES,
  FRAME_HEADER_BYTES,
} from './frame.ts'
import { checkGaloisElements } from './galois-elements.ts'
import {
  KEY_SET_COUNT_BYTES,
  type KeyPlace,
  type KeySetLayout,
  keySetLayout,
  type RaiseKeyName,
} from './key-set-layout.ts'
import type { PolynomialShape } from './polynomial.ts'
import { checkPacked, type PackedRlwe, packedRlwe, type Rlwe, readRlwe } from './rlwe.ts'
import { type ByteSource, readExactly } from './source.ts'

const CHUNK_BYTES = 1 << 20

/** A key set whose header, length and digest have been checked; each key is checked when it is read. */
export interface KeySetReader {
  /** Ascending. */
  readonly galoisElements: readonly number[]
  publicKey(): Promise<Rlwe>
  /** One pair for each digit. */
  relinKey(): Promise<Rlwe[]>
  /** @throws KEYS_MISSING when the set has no key for the element */
  galoisKey(element: number): Promise<Rlwe[]>
  /** The public key in packed form, its residues unchecked. */
  packedPublicKey(): Promise<PackedRlwe>
  /** The relinearisation key in packed form, its residues unchecked. */
  packedRelinKey(): Promise<PackedRlwe[]>
  /**
   * A Galois key in packed form, its residues unchecked.
   *
   * @throws KEYS_MISSING
   */
  packedGaloisKey(element: number): Promise<PackedRlwe[]>
  /** A key of the ephemeral secret. @throws KEYS_MISSING when the parameters have no raise level */
  raiseKey(name: RaiseKeyName): Promise<Rlwe[]>
  /**
   * A key of the ephemeral secret in packed form, its residues unchecked.
   *
   * @throws KEYS_MISSING when the parameters have no raise level
   */
  packedRaiseKey(name: RaiseKeyName): Promise<PackedRlwe[]>
}

/**
 * Opens a key set from any source. All of it is read once, in small chunks, for its digest, unless the source
 * says that its digest has been checked before.
 *
 * @throws PARAMETERS_MISMATCH when the keys were made for other parameters
 * @throws TOO_LARGE, TENSOR_MALFORMED when the frame is too long, cut off or altered
 */
export async function openKeySet(parameters: CkksParameters, source: ByteSource): Promise<KeySetReader> {
  const head = await source.read(0, FRAME_HEADER_BYTES + KEY_SET_COUNT_BYTES)
  checkFrameIdentity(head.subarray(0, FRAME_HEADER_BYTES), 'keySet', parameters.digest)
  const count = readElementCount(parameters, head)
  const layout = keySetLayout(parameters, count)
  checkFrameLength(head, source.size, layout.totalBytes)
  const galoisElements = await readElements(source, layout, count)
  checkGaloisElements(parameters.ring, galoisElements, 'TENSOR_MALFORMED')
  if (!source.verified) await checkDigest(source)
  return keyReader(source, layout, galoisElements)
}

/**
 * Checks a key set to its last residue, as the server does once an upload is complete.
 *
 * @returns its Galois elements
 * @throws as `openKeySet`; TENSOR_MALFORMED when a residue is not below its prime
 */
export async function verifyKeySet(
  parameters: CkksParameters,
  source: ByteSource,
): Promise<readonly number[]> {
  const reader = await openKeySet(parameters, source)
  const { shape, raiseKeys } = keySetLayout(parameters, reader.galoisElements.length)
  const check = (pairs: readonly PackedRlwe[], of = shape): void => {
    for (const pair of pairs) checkPacked(of, pair)
  }
  check([await reader.packedPublicKey()])
  check(await reader.packedRelinKey())
  for (const element of reader.galoisElements) check(await reader.packedGaloisKey(element))
  if (raiseKeys) {
    check(await reader.packedRaiseKey('down'), raiseKeys.down.shape)
    check(await reader.packedRaiseKey('up'), raiseKeys.up.shape)
  }
  return reader.galoisElements
}

function readElementCount({ ring }: CkksParameters, head: Uint8Array): number {
  const body = head.subarray(FRAME_HEADER_BYTES)
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const whole = body.length === KEY_SET_COUNT_BYTES
  // There are N - 1 Galois elements beside the identity.
  if (whole && view.getUint32(0, true) < ring && view.getUint32(4, true) === 0) return view.getUint32(0, true)
  throw new PolyVeilError('TENSOR_MALFORMED', 'The key set has no valid number of Galois keys')
}

async function readElements(source: ByteSource, layout: KeySetLayout, count: number): Promise<number[]> {
  const start = layout.headBytes - 4 * count
  const bytes = await readExactly(source, start, 4 * count)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return Array.from({ length: count }, (_, index) => view.getUint32(4 * index, true))
}

async function checkDigest(source: ByteSource): Promise<void> {
  const end = source.size - FRAME_DIGEST_BYTES
  const hash = createDigest()
  for (let offset = 0; offset < end; offset += CHUNK_BYTES) {
    hash.update(await readExactly(source, offset, Math.min(CHUNK_BYTES, end - offset)))
  }
  checkFrameDigest(hash.digest(), await readExactly(source, end, FRAME_DIGEST_BYTES))
}

function keyReader(
  source: ByteSource,
  layout: KeySetLayout,
  galoisElements: readonly number[],
): KeySetReader {
  const read = async <Pair>(
    { shape, digits, pairBytes, at }: KeyPlace,
    parse: (shape: PolynomialShape, bytes: Uint8Array) => Pair,
  ): Promise<Pair[]> => {
    const bytes = await readExactly(source, at, digits * pairBytes)
    return Array.from({ length: digits }, (_, index) =>
      parse(shape, bytes.subarray(index * pairBytes, (index + 1) * pairBytes)),
    )
  }
  const checked = (shape: PolynomialShape, bytes: Uint8Array): Rlwe => readRlwe(shape, bytes, true)
  const publicKey: KeyPlace = { ...layout, digits: 1, at: layout.publicKeyAt }
  const relinKey: KeyPlace = { ...layout, at: layout.relinKeyAt }
  const galoisKey = (element: number): KeyPlace => {
    const index = galoisElements.indexOf(element)
    if (index < 0) throw keysMissing([element])
    return { ...layout, at: layout.galoisKeyAt(index) }
  }
  const raiseKey = (name: RaiseKeyName): KeyPlace => {
    if (layout.raiseKeys === undefined) throw raiseKeysMissing()
    return layout.raiseKeys[name]
  }
  return {
    galoisElements,
    publicKey: async () => (await read(publicKey, checked))[0],
    relinKey: () => read(relinKey, checked),
    galoisKey: async (element) => read(galoisKey(element), checked),
    raiseKey: async (name) => read(raiseKey(name), checked),
    packedPublicKey: async () => (await read(publicKey, packedRlwe))[0],
    packedRelinKey: () => read(relinKey, packedRlwe),
    packedGaloisKey: async (element) => read(galoisKey(element), packedRlwe),
    packedRaiseKey: async (name) => read(raiseKey(name), packedRlwe),
  }
}

/** The error for Galois elements that a key set lacks. */
export const keysMissing = (elements: readonly number[]): PolyVeilError =>
  new PolyVeilError('KEYS_MISSING', `The key set lacks Galois elements ${elements.join(', ')}`, {
    galoisElements: elements,
  })

/** The error for keys of the ephemeral secret that are not there. */
export const raiseKeysMissing = (): PolyVeilError =>
  new PolyVeilError('KEYS_MISSING', 'There are no keys of the ephemeral secret')
