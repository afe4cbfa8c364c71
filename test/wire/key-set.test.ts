import { sha256 } from '@noble/hashes/sha2.js'
import t from 'tap'
import {
  type ByteSource,
  bytesSource,
  decodeSecretKey,
  encodeSecretKey,
  type KeySetMaker,
  keySetBytes,
  keySetLayout,
  openKeySet,
  verifyKeySet,
  writeKeySet,
} from '../../src/wire/index.ts'
import {
  collect,
  distinctPair,
  distinctPolynomial,
  otherParameters,
  parameters,
  saturate,
} from './fixtures.ts'

const elements = [3, 9, 8193, 16383]
const { shape, digits, headBytes, pairBytes, galoisKeyAt } = keySetLayout(parameters, elements.length)
const switchingKey = (salt: number) => Array.from({ length: digits }, (_, d) => distinctPair(shape, salt + d))

const maker: KeySetMaker = {
  publicKey: () => distinctPair(shape, 100),
  relinKey: () => switchingKey(200),
  galoisKey: (element) => switchingKey(300 + (element % 1000)),
}

const frame = await collect(writeKeySet(parameters, elements, maker))

function forged(alter: (copy: Uint8Array) => void): ByteSource {
  const copy = frame.slice()
  alter(copy)
  copy.set(sha256(copy.subarray(0, -32)), copy.length - 32)
  return bytesSource(copy)
}

t.test('every key comes back, read by offset and in any order', async (t) => {
  t.equal(frame.length, keySetBytes(parameters, elements))
  const reader = await openKeySet(parameters, bytesSource(frame))
  t.strictSame(reader.galoisElements, elements)
  for (const element of [8193, 3, 16383, 9]) {
    t.strictSame(await reader.galoisKey(element), maker.galoisKey(element))
  }
  t.strictSame(await reader.relinKey(), maker.relinKey())
  t.strictSame(await reader.publicKey(), maker.publicKey())
  await t.rejects(reader.galoisKey(27), { code: 'KEYS_MISSING', facts: { galoisElements: [27] } })
})

t.test('reads stay small: no more than one key or one megabyte at a time', async (t) => {
  let largest = 0
  const source: ByteSource = {
    size: frame.length,
    read: async (offset, length) => {
      largest = Math.max(largest, length)
      return frame.subarray(offset, offset + length)
    },
  }
  t.strictSame(await verifyKeySet(parameters, source), elements)
  t.ok(largest <= Math.max(1 << 20, digits * pairBytes), `largest read is ${largest}`)
})

t.test('chunks are one key each, so the writer holds no more', async (t) => {
  const sizes: number[] = []
  for await (const chunk of writeKeySet(parameters, elements, maker)) sizes.push(chunk.length)
  const key = digits * pairBytes
  t.strictSame(sizes, [48, 8 + 4 * elements.length, pairBytes, key, ...elements.map(() => key), 32])
})

t.test('the set without Galois keys', async (t) => {
  const bytes = await collect(writeKeySet(parameters, [], maker))
  t.equal(bytes.length, keySetBytes(parameters, []))
  t.strictSame(await verifyKeySet(parameters, bytesSource(bytes)), [])
})

t.test('truncated, extended, altered, and for other parameters', async (t) => {
  for (const length of [0, 30, 48, 55, 60, headBytes, frame.length - 1]) {
    const source = bytesSource(frame.subarray(0, length))
    await t.rejects(openKeySet(parameters, source), { code: 'TENSOR_MALFORMED' }, `${length} bytes`)
  }
  const longer = new Uint8Array(frame.length + 8)
  longer.set(frame)
  await t.rejects(openKeySet(parameters, bytesSource(longer)), { code: 'TOO_LARGE' })
  for (const at of [headBytes, galoisKeyAt(2) + 77, frame.length - 5]) {
    const copy = frame.slice()
    copy[at] ^= 1
    await t.rejects(openKeySet(parameters, bytesSource(copy)), { message: /altered/ }, `byte ${at}`)
  }
  await t.rejects(openKeySet(otherParameters, bytesSource(frame)), { code: 'PARAMETERS_MISMATCH' })
  const lying: ByteSource = {
    size: frame.length,
    read: async (offset) => frame.subarray(offset, offset + 60),
  }
  await t.rejects(openKeySet(parameters, lying), { code: 'TENSOR_MALFORMED' })
})

t.test('forged sets with a right digest', async (t) => {
  const element = (index: number, value: number) => (copy: Uint8Array) =>
    new DataView(copy.buffer).setUint32(56 + 4 * index, value, true)
  for (const [index, value] of [
    [0, 1],
    [0, 4],
    [1, 3],
    [2, 7],
    [3, 16385],
    [3, 0xffffffff],
  ]) {
    await t.rejects(openKeySet(parameters, forged(element(index, value))), {
      code: 'TENSOR_MALFORMED',
      facts: { element: value },
    })
  }
  for (const count of [0xffffffff, 8192]) {
    const source = forged((copy) => new DataView(copy.buffer).setUint32(48, count, true))
    await t.rejects(openKeySet(parameters, source), { message: /number of Galois keys/ })
  }
  for (const count of [3, 5, 8191]) {
    const source = forged((copy) => new DataView(copy.buffer).setUint32(48, count, true))
    await t.rejects(openKeySet(parameters, source), { name: 'PolyVeilError' }, `${count} keys`)
  }
})

t.test('a residue above its prime is found when its key is read, and by the verifier', async (t) => {
  const lastPair = galoisKeyAt(1) + (digits - 1) * pairBytes
  const source = forged((copy) => saturate(copy.subarray(lastPair), 45 * 4097, 45))
  await t.rejects(verifyKeySet(parameters, source), { code: 'TENSOR_MALFORMED', facts: { prime: 0 } })
  const reader = await openKeySet(parameters, source)
  await t.rejects(reader.galoisKey(9), { code: 'TENSOR_MALFORMED' })
  t.strictSame(await reader.galoisKey(3), maker.galoisKey(3), 'other keys stay usable')
})

t.test('secret keys', async (t) => {
  const secret = distinctPolynomial(shape, 12)
  const bytes = encodeSecretKey(parameters, secret)
  t.strictSame(decodeSecretKey(parameters, bytes), secret)
  t.throws(() => decodeSecretKey(otherParameters, bytes), { code: 'PARAMETERS_MISMATCH' })
  t.throws(() => decodeSecretKey(parameters, bytes.subarray(0, -1)), { code: 'TENSOR_MALFORMED' })
  bytes[500] ^= 4
  t.throws(() => decodeSecretKey(parameters, bytes), { code: 'TENSOR_MALFORMED' })
})

t.test('a verified source is not hashed again, but all else of it is checked', async (t) => {
  let bytesRead = 0
  const verified = (bytes: Uint8Array): ByteSource => ({
    ...bytesSource(bytes),
    verified: true,
    read: async (offset, length) => {
      bytesRead += length
      return bytes.subarray(offset, offset + length)
    },
  })
  const reader = await openKeySet(parameters, verified(frame))
  t.ok(bytesRead < 1000, `${bytesRead} bytes are read`)
  t.strictSame(await reader.galoisKey(9), maker.galoisKey(9))
  const altered = frame.slice()
  altered[altered.length - 1] ^= 1
  await t.resolves(openKeySet(parameters, verified(altered)))
  await t.rejects(openKeySet(parameters, bytesSource(altered)), { message: /altered/ })
  await t.rejects(openKeySet(parameters, verified(frame.subarray(1))), { code: 'TENSOR_MALFORMED' })
  await t.rejects(openKeySet(parameters, verified(frame.subarray(0, -1))), { code: 'TENSOR_MALFORMED' })
  await t.rejects(openKeySet(otherParameters, verified(frame)), { code: 'PARAMETERS_MISMATCH' })
  saturate(altered, 8 * galoisKeyAt(1) + 45 * 20, 45)
  const damaged = await openKeySet(parameters, verified(altered))
  await t.rejects(damaged.galoisKey(9), { code: 'TENSOR_MALFORMED' })
})
