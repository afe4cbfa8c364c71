import fc from 'fast-check'
import t from 'tap'
import { packBits, packedBytes } from '../../../src/wire/bits.ts'
import {
  equal,
  kernels,
  largestPrime,
  patterns,
  primeOfBits,
  requireEqual,
  residues,
  smallestPrime,
  withMemory,
} from './fixture.ts'

const UNPACK_SLACK: number = kernels.UNPACK_SLACK.value
const RING = 8
const BITS = Array.from({ length: 11 }, (_, i) => 20 + i)

/** The residues' bits as one large integer, the lowest first, in bytes. */
function packedPlainly(words: Uint32Array, bits: number): Uint8Array {
  let integer = 0n
  words.forEach((word, i) => {
    integer |= BigInt(word) << BigInt(bits * i)
  })
  return Uint8Array.from({ length: Math.ceil((bits * words.length) / 8) }, (_, i) =>
    Number((integer >> BigInt(8 * i)) & 0xffn),
  )
}

function packed(words: Uint32Array, bits: number, misalignment: number): Uint8Array {
  return withMemory((memory) => {
    // Previous contents must not remain.
    const out = memory.bytes(new Uint8Array(packedBytes(words.length, bits)).fill(0xff), misalignment)
    kernels.pack(out.address, memory.words(words).address, bits, words.length)
    return out.read()
  })
}

/** Unpacks with all bits set after the packed residues. */
function unpacked(bytes: Uint8Array, bits: number, size: number, q: number, misalignment: number) {
  return withMemory((memory) => {
    const source = new Uint8Array(bytes.length + UNPACK_SLACK).fill(0xff)
    source.set(bytes)
    const out = memory.words(size)
    const { address } = memory.bytes(source, misalignment)
    const sound = kernels.unpack(out.address, address, bits, size, q)
    return { sound, residues: out.read() }
  })
}

const cases = fc.record({
  bits: fc.constantFrom(...BITS),
  size: fc.integer({ min: 1, max: 67 }),
  misalignment: fc.nat(7),
  kind: patterns,
  seed: fc.nat(),
})

t.test('residues of every size are packed without gaps and unpacked, at any alignment', async () => {
  fc.assert(
    fc.property(cases, ({ bits, size, misalignment, kind, seed }) => {
      const q = Number(primeOfBits(RING, bits, seed))
      const words = residues(size, q, kind, seed)
      const bytes = packed(words, bits, misalignment)
      if (!Buffer.from(bytes).equals(packedPlainly(words, bits))) throw new Error('packed otherwise')
      const back = unpacked(bytes, bits, size, q, misalignment)
      requireEqual(back.residues, words, `${size} residues of ${bits} bits`)
      if (back.sound !== 1) throw new Error('sound residues are refused')
    }),
    { numRuns: 500, seed: 7 },
  )
})

t.test('a polynomial is packed as in frames', async (t) => {
  for (const bits of [20, 27, 30]) {
    const words = residues(8192, Number(primeOfBits(8192, bits)), 'random', bits)
    const halves = new Uint32Array(2 * words.length)
    words.forEach((word, i) => {
      halves[2 * i] = word
    })
    t.ok(Buffer.from(packed(words, bits, 0)).equals(packBits(halves, bits)), `${bits} bits`)
  }
})

t.test('a residue equal to its prime is refused anywhere, and one less is accepted', async (t) => {
  for (const bits of BITS) {
    const q = Number(bits === 30 ? largestPrime(RING) : primeOfBits(RING, bits))
    const size = 21
    for (const place of [0, 7, size - 1]) {
      for (const [residue, sound] of [
        [q - 1, 1],
        [q, 0],
        [2 ** bits - 1, 0],
      ]) {
        const words = residues(size, q, 'random', bits)
        words[place] = residue
        const found = unpacked(packedPlainly(words, bits), bits, size, q, 0)
        if (found.sound !== sound) t.fail(`${residue} at ${place} modulo ${q}: ${found.sound}`)
      }
    }
  }
})

t.test('every bad residue is detected, also the first and the last', async (t) => {
  const q = Number(smallestPrime(RING))
  const words = residues(64, q, 'largest', 0)
  for (let place = 0; place < words.length; place++) {
    const altered = words.slice()
    altered[place] = q
    t.equal(unpacked(packedPlainly(altered, 14), 14, words.length, q, 3).sound, 0)
  }
})

t.test('a planted fault is detected: another bit size, a flipped bit', async (t) => {
  const q = Number(primeOfBits(RING, 25))
  const words = residues(32, q, 'random', 3)
  const bytes = packed(words, 25, 0)
  t.ok(equal(unpacked(bytes, 25, 32, q, 0).residues, words))
  t.notOk(equal(unpacked(bytes, 24, 32, q, 0).residues, words))
  bytes[50] ^= 8
  t.notOk(equal(unpacked(bytes, 25, 32, q, 0).residues, words))
})
