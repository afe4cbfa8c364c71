import { createDigest } from '../circuit/format/digest.ts'
import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../errors/index.ts'
import { frameHeader } from './frame.ts'
import { checkGaloisElements } from './galois-elements.ts'
import { KEY_SET_COUNT_BYTES, type KeyPlace, keySetLayout, type RaiseKeyName } from './key-set-layout.ts'
import { type PackedRlwe, type SeededRlwe, writeRlwe } from './rlwe.ts'

/** A pair of a key. Its first polynomial may be packed already. */
type NewPair = SeededRlwe | PackedRlwe

type Awaitable<T> = T | Promise<T>

/** Makes the keys of a set one by one. A key switching key is one pair for each digit. */
export interface KeySetMaker {
  publicKey(): NewPair
  relinKey(): Awaitable<readonly NewPair[]>
  galoisKey(element: number): Awaitable<readonly NewPair[]>
  /** Both keys of one ephemeral secret. Called only where the parameters have a raise level. */
  raiseKeys(): Awaitable<Readonly<Record<RaiseKeyName, readonly NewPair[]>>>
}

/**
 * Writes a key set's frame of `keySetBytes` bytes in chunks, one key at a time: memory holds no more than one
 * key, or the two keys of the ephemeral secret.
 *
 * @param galoisElements odd, distinct, ascending, 3 to 2N - 1
 * @throws INTERNAL when the elements are not, or a key has another number of digits than the parameters
 */
export async function* writeKeySet(
  parameters: CkksParameters,
  galoisElements: readonly number[],
  maker: KeySetMaker,
): AsyncGenerator<Uint8Array, void, undefined> {
  checkGaloisElements(parameters.ring, galoisElements, 'INTERNAL')
  const layout = keySetLayout(parameters, galoisElements.length)
  const hash = createDigest()
  const hashed = (chunk: Uint8Array): Uint8Array => {
    hash.update(chunk)
    return chunk
  }
  yield hashed(frameHeader({ kind: 'keySet', binding: parameters.digest, length: layout.totalBytes }))
  yield hashed(elementList(galoisElements))
  yield hashed(packPairs({ ...layout, digits: 1 }, [maker.publicKey()]))
  yield hashed(packPairs(layout, await maker.relinKey()))
  for (const element of galoisElements) {
    yield hashed(packPairs(layout, await maker.galoisKey(element)))
  }
  if (layout.raiseKeys) {
    const { down, up } = await maker.raiseKeys()
    yield hashed(packPairs(layout.raiseKeys.down, down))
    yield hashed(packPairs(layout.raiseKeys.up, up))
  }
  yield hash.digest()
}

function elementList(elements: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(KEY_SET_COUNT_BYTES + 4 * elements.length))
  view.setUint32(0, elements.length, true)
  elements.forEach((element, index) => {
    view.setUint32(KEY_SET_COUNT_BYTES + 4 * index, element, true)
  })
  return new Uint8Array(view.buffer)
}

function packPairs(
  { shape, digits, pairBytes }: Omit<KeyPlace, 'at'>,
  pairs: readonly NewPair[],
): Uint8Array {
  if (pairs.length !== digits) {
    throw new PolyVeilError('INTERNAL', `A key has ${pairs.length} pairs, the parameters ask for ${digits}`)
  }
  const bytes = new Uint8Array(digits * pairBytes)
  pairs.forEach((pair, index) => {
    writeRlwe(shape, pair, bytes.subarray(index * pairBytes))
  })
  return bytes
}
