import { sha256 } from '@noble/hashes/sha2.js'
import t from 'tap'
import {
  decodeTensor,
  encodeTensor,
  levelShape,
  openFullTensor,
  type Rlwe,
  type TensorSpec,
  tensorBytes,
} from '../../src/wire/index.ts'
import { distinctPair, distinctPolynomial, parameters, saturate } from './fixtures.ts'

const seededSpec: TensorSpec = {
  ciphertexts: 3,
  level: 1,
  seeded: true,
  scale: 2 ** 27 * 1.25,
  manifestDigest: 'ab'.repeat(32),
}
const fullSpec: TensorSpec = { ...seededSpec, seeded: false, ciphertexts: 1, level: 2 }
const shape = levelShape(parameters, 1)
const pairs: Rlwe[] = [1, 5, 9].map((salt) => distinctPair(shape, salt))
const frame = encodeTensor(parameters, seededSpec, pairs)

const fullShape = levelShape(parameters, 2)
const full = { c0: distinctPolynomial(fullShape, 3), c1: distinctPolynomial(fullShape, 4) }

/** A copy of a frame, altered, with a digest that fits again: what a malicious sender makes. */
function forged(bytes: Uint8Array, alter: (copy: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice()
  alter(copy)
  copy.set(sha256(copy.subarray(0, -32)), copy.length - 32)
  return copy
}

const decoding =
  (bytes: Uint8Array, spec: TensorSpec = seededSpec) =>
  () =>
    decodeTensor(parameters, spec, bytes)

t.test('seeded and full tensors come back exactly, from any alignment', async (t) => {
  const shifted = new Uint8Array(frame.length + 1)
  shifted.set(frame, 1)
  t.strictSame(decodeTensor(parameters, seededSpec, shifted.subarray(1)), pairs)
  const bytes = encodeTensor(parameters, fullSpec, [full])
  t.strictSame(decodeTensor(parameters, fullSpec, bytes), [full])
  t.equal(frame.length, tensorBytes(parameters, seededSpec))
  t.equal(bytes.length, tensorBytes(parameters, fullSpec))
})

t.test('sizes are those of the format description', async (t) => {
  const c0 = (8192 * (45 + 29)) / 8
  t.equal(tensorBytes(parameters, seededSpec), 48 + 16 + 3 * (c0 + 4 + 64) + 32)
  t.equal(tensorBytes(parameters, fullSpec), 48 + 16 + 2 * ((8192 * (45 + 29 + 33)) / 8) + 32)
})

t.test('any flipped bit is found', async (t) => {
  for (const at of [0, 4, 5, 8, 20, 48, 52, 54, 60, 64, 5000, 100_000, frame.length - 40, frame.length - 1]) {
    const copy = frame.slice()
    copy[at] ^= 0x10
    t.throws(decoding(copy), { name: 'PolyVeilError' }, `byte ${at}`)
  }
})

t.test('truncated at any place, and extended', async (t) => {
  for (const length of [0, 1, 15, 47, 48, 63, 64, 5000, frame.length - 1]) {
    t.throws(decoding(frame.subarray(0, length)), { code: 'TENSOR_MALFORMED' }, `${length} bytes`)
  }
  const longer = new Uint8Array(frame.length + 1)
  longer.set(frame)
  t.throws(decoding(longer), { code: 'TOO_LARGE', facts: { expectedBytes: frame.length } })
})

t.test('a tensor for another manifest says so before all else', async (t) => {
  t.throws(decoding(frame.subarray(0, 60), { ...seededSpec, manifestDigest: 'cd'.repeat(32) }), {
    code: 'PARAMETERS_MISMATCH',
  })
})

t.test('a forged header with a right digest is still refused', async (t) => {
  const cases: [string, (copy: Uint8Array) => void, string][] = [
    ['count', (b) => b.fill(0xff, 48, 52), 'ciphertexts'],
    ['level', (b) => b.set([2], 52), 'level'],
    ['seeded flag', (b) => b.set([0], 54), 'seeded'],
    ['reserved byte', (b) => b.set([1], 55), 'reserved'],
    ['scale', (b) => new DataView(b.buffer).setFloat64(56, 2 ** 28, true), 'scale'],
    ['scale NaN', (b) => new DataView(b.buffer).setFloat64(56, Number.NaN, true), 'scale'],
  ]
  for (const [name, alter, field] of cases) {
    t.throws(decoding(forged(frame, alter)), { code: 'TENSOR_MALFORMED', facts: { field } }, name)
  }
  const claims = forged(frame, (b) => b.set([0xff], 15))
  t.throws(decoding(claims), { code: 'TENSOR_MALFORMED', message: /claims another length/ })
  t.throws(decoding(forged(frame, (b) => b.set([2], 5))), { code: 'TENSOR_MALFORMED', message: /not what/ })
  t.throws(decoding(forged(frame, (b) => b.set([9], 4))), { code: 'TENSOR_MALFORMED', message: /version 9/ })
})

t.test('a residue at or above its prime is refused, wherever it sits', async (t) => {
  const pair = (8192 * (45 + 29)) / 8 + 68
  for (const [bit, bits, prime] of [
    [0, 45, 0],
    [45 * 8191, 45, 0],
    [45 * 8192 + 29 * 17, 29, 1],
    [45 * 8192 + 29 * 8191, 29, 1],
  ]) {
    for (const index of [0, 2]) {
      const forgery = forged(frame, (b) => saturate(b.subarray(64 + index * pair), bit, bits))
      t.throws(decoding(forgery), { code: 'TENSOR_MALFORMED', facts: { prime } }, `bit ${bit} of ${index}`)
    }
  }
})

t.test('an unknown seed type, and a transparent ciphertext', async (t) => {
  const seedAt = 64 + (8192 * (45 + 29)) / 8
  for (const [at, value] of [
    [0, 0],
    [0, 2],
    [3, 1],
  ]) {
    t.throws(decoding(forged(frame, (b) => b.set([value], seedAt + at))), {
      code: 'TENSOR_MALFORMED',
      message: /Seed type/,
    })
  }
  const transparent = encodeTensor(parameters, fullSpec, [
    { c0: full.c0, c1: new Uint32Array(full.c1.length) },
  ])
  t.throws(decoding(transparent, fullSpec), { code: 'TENSOR_MALFORMED', message: /zero/ })
})

t.test(
  'a transparent ciphertext is refused without being unpacked, as clients read masked tensors',
  async (t) => {
    const opening = (c1: Uint32Array) => () =>
      openFullTensor(parameters, fullSpec, encodeTensor(parameters, fullSpec, [{ c0: full.c0, c1 }]))
    const zero = new Uint32Array(full.c1.length)
    t.throws(opening(zero), { code: 'TENSOR_MALFORMED', message: /zero/ })
    for (const at of [0, full.c1.length - 2]) {
      t.doesNotThrow(opening(zero.with(at, 1)), `residue ${at / 2} alone is not zero`)
    }
  },
)

t.test('the writer refuses what the reader would', async (t) => {
  t.throws(() => encodeTensor(parameters, seededSpec, pairs.slice(1)), { code: 'INTERNAL' })
  t.throws(() => encodeTensor(parameters, { ...fullSpec, level: 1 }, [full]), { code: 'INTERNAL' })
  const over = { ...full, c0: full.c0.slice().fill(0xffffffff, 0, 2) }
  t.throws(() => encodeTensor(parameters, fullSpec, [over]), { code: 'INTERNAL' })
})

t.test('a frame of a round fits only its direction of its round', async (t) => {
  const of = (kind: 'masked' | 'refreshed', round: number) => ({ ...seededSpec, refresh: { kind, round } })
  const spec = of('refreshed', 300)
  const bytes = encodeTensor(parameters, spec, pairs)
  t.equal(bytes.length, frame.length, 'no longer than another')
  t.strictSame([...bytes.subarray(5, 8)], [5, 300 % 256, 1])
  t.strictSame([...frame.subarray(5, 8)], [1, 0, 0], 'other frames are as they were')
  t.ok(Buffer.from(bytes.subarray(48, 5000)).equals(frame.subarray(48, 5000)), 'the content is the same')
  t.doesNotThrow(decoding(bytes, spec))
  for (const other of [of('refreshed', 299), of('refreshed', 44), of('masked', 300), seededSpec]) {
    t.throws(decoding(bytes, other), { code: 'TENSOR_MALFORMED' })
  }
  t.throws(decoding(frame, of('refreshed', 0)), { code: 'TENSOR_MALFORMED' }, 'a query is no answer')
  t.throws(
    decoding(
      forged(frame, (b) => b.set([1], 6)),
      seededSpec,
    ),
    { code: 'TENSOR_MALFORMED', message: /round 1, not to 0/ },
  )
})
