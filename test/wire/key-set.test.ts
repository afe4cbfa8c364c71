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
  type SeededRlwe,
  verifyKeySet,
  writeKeySet,
} from '../../src/wire/index.ts'
import { raising } from '../support/raising.ts'
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

const raisingParameters = raising(parameters, 1)
const raised = keySetLayout(raisingParameters, elements.length).raiseKeys!
const pairs = ({ digits, shape }: typeof raised.up, salt: number): SeededRlwe[] =>
  Array.from({ length: digits }, (_, d) => distinctPair(shape, salt + d))
const RAISE_KEYS = { down: pairs(raised.down, 400), up: pairs(raised.up, 500) }

const maker: KeySetMaker = {
  publicKey: () => distinctPair(shape, 100),
  relinKey: () => switchingKey(200),
  galoisKey: (element) => switchingKey(300 + (element % 1000)),
  raiseKeys: () => RAISE_KEYS,
}

/** The digest at the end of the frame that release 0.1.0 makes of these keys. */
const DIGEST = '921adaba427335c6e2e8af77b3c833e85398814be8b4416e9ad7fa556f80a24b'
const frame = await collect(writeKeySet(parameters, elements, maker))

function forged(alter: (copy: Uint8Array) => void, of = frame): ByteSource {
  const copy = of.slice()
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

t.test('sets of parameters without a raise level are what they always were', async (t) => {
  t.equal(Buffer.from(frame.subarray(-32)).toString('hex'), DIGEST)
  const reader = await openKeySet(parameters, bytesSource(frame))
  for (const name of ['down', 'up'] as const) {
    await t.rejects(reader.raiseKey(name), { code: 'KEYS_MISSING' })
    await t.rejects(reader.packedRaiseKey(name), { code: 'KEYS_MISSING' })
  }
})

t.test('keys of the ephemeral secret', async (t) => {
  const frame = await collect(writeKeySet(raisingParameters, elements, maker))
  const { down, up } = raised
  t.equal(frame.length, keySetBytes(raisingParameters, elements))
  t.equal(down.at, galoisKeyAt(elements.length), 'after the Galois keys')
  t.strictSame(down.shape.primes, [...parameters.primes.slice(0, 2), parameters.specialPrimes[0]])
  t.match({ down, up }, { down: { digits: 2 }, up: { digits, pairBytes, shape } })

  t.test('come back, checked and in packed form', async (t) => {
    const reader = await openKeySet(raisingParameters, bytesSource(frame))
    t.strictSame(await verifyKeySet(raisingParameters, bytesSource(frame)), elements)
    for (const name of ['down', 'up'] as const) {
      t.strictSame(await reader.raiseKey(name), RAISE_KEYS[name])
      const packed = await reader.packedRaiseKey(name)
      t.strictSame(
        packed.map(({ seed, limbs }) => [seed, limbs.map(({ prime }) => prime)]),
        RAISE_KEYS[name].map(({ seed }) => [seed, raised[name].shape.primes]),
      )
    }
    t.strictSame(await reader.galoisKey(9), maker.galoisKey(9))
  })

  t.test('altered, cut off, or without their parameters', async (t) => {
    for (const at of [down.at, up.at - 1, up.at + 99]) {
      const copy = frame.slice()
      copy[at] ^= 1
      await t.rejects(openKeySet(raisingParameters, bytesSource(copy)), { message: /altered/ }, `byte ${at}`)
    }
    for (const length of [down.at, up.at, frame.length - 1]) {
      const source = bytesSource(frame.subarray(0, length))
      await t.rejects(openKeySet(raisingParameters, source), { code: 'TENSOR_MALFORMED' }, `${length} bytes`)
    }
    await t.rejects(openKeySet(parameters, bytesSource(frame)), { code: 'PARAMETERS_MISMATCH' })
    await t.rejects(openKeySet(raising(parameters, 0), bytesSource(frame)), { code: 'PARAMETERS_MISMATCH' })
  })

  t.test('with a residue above its prime', async (t) => {
    // Modulo the special prime of the last pair of `down`, and modulo the first prime of the last one of
    // `up`.
    const special = 8 * (down.at + down.pairBytes) + 8192 * (45 + 29) + 47 * 77
    const first = 8 * (up.at + (digits - 1) * pairBytes) + 45 * 4097
    for (const [name, bit, bits, prime] of [
      ['down', special, 47, 2],
      ['up', first, 45, 0],
    ] as const) {
      const source = forged((copy) => saturate(copy, bit, bits), frame)
      await t.rejects(verifyKeySet(raisingParameters, source), { code: 'TENSOR_MALFORMED', facts: { prime } })
      const reader = await openKeySet(raisingParameters, source)
      await t.rejects(reader.raiseKey(name), { code: 'TENSOR_MALFORMED' })
      t.strictSame(await reader.relinKey(), maker.relinKey(), 'other keys stay usable')
    }
  })

  t.test('with another number of pairs', async (t) => {
    const short: KeySetMaker = { ...maker, raiseKeys: () => ({ ...RAISE_KEYS, down: [] }) }
    await t.rejects(collect(writeKeySet(raisingParameters, elements, short)), { code: 'INTERNAL' })
  })
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
