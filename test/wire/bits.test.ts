import fc from 'fast-check'
import t from 'tap'
import { allBelow, packBits, packedBelow, packedBytes, unpackBits } from '../../src/wire/bits.ts'

/** The obvious version: one big integer that holds all residues. */
function packBigInt(residues: readonly bigint[], bits: number): Uint8Array {
  let all = 0n
  residues.forEach((residue, index) => {
    all |= residue << BigInt(index * bits)
  })
  return Uint8Array.from({ length: Math.ceil((residues.length * bits) / 8) }, (_, index) =>
    Number((all >> BigInt(8 * index)) & 0xffn),
  )
}

const halvesOf = (residues: readonly bigint[]): Uint32Array =>
  new Uint32Array(BigUint64Array.from(residues).buffer)

const residuesOf = (halves: Uint32Array): bigint[] => [
  ...new BigUint64Array(halves.buffer, halves.byteOffset, halves.length / 2),
]

const sized = fc
  .integer({ min: 18, max: 60 })
  .chain((bits) =>
    fc.tuple(
      fc.constant(bits),
      fc.array(fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }), { minLength: 1, maxLength: 67 }),
    ),
  )

t.test('packing agrees with one big integer, for any length and size', async (t) => {
  fc.assert(
    fc.property(sized, ([bits, residues]) => {
      const packed = packBits(halvesOf(residues), bits)
      t.strictSame(packed, packBigInt(residues, bits))
    }),
    { numRuns: 300 },
  )
})

t.test('every size from 18 to 60 comes back, from an unaligned place, over old contents', async (t) => {
  for (let bits = 18; bits <= 60; bits++) {
    const top = (1n << BigInt(bits)) - 1n
    const residues = Array.from({ length: 33 }, (_, i) => (top * BigInt(i * i + 1)) / 1025n)
    residues[7] = top
    residues[8] = 0n
    const packed = packBits(halvesOf(residues), bits)
    t.equal(packed.length, packedBytes(33, bits))
    const shifted = new Uint8Array(packed.length + 3).fill(0xff)
    shifted.set(packed, 3)
    const halves = new Uint32Array(66).fill(0xffffffff)
    unpackBits(shifted.subarray(3), bits, halves)
    t.strictSame(residuesOf(halves), residues, `${bits} bits`)
  }
})

t.test('bounds are exact, on both sides of the 32-bit boundary', async (t) => {
  for (const prime of [786433n, 4294475777n, 4295688193n, 1152921504606830593n]) {
    for (let place = 0; place < 3; place++) {
      const residues = [0n, 1n, 2n]
      residues[place] = prime - 1n
      t.ok(allBelow(halvesOf(residues), prime), `${prime - 1n} is below ${prime}`)
      residues[place] = prime
      t.notOk(allBelow(halvesOf(residues), prime), `${prime} is not`)
      residues[place] = prime + (1n << 32n)
      t.notOk(allBelow(halvesOf(residues), prime), 'nor is a residue with a higher upper half')
    }
  }
})

t.test('packed residues are compared as they lie, wherever the large one is', async (t) => {
  for (const prime of [262139n, 786433n, 1073741789n, 4294475777n, 4295688193n]) {
    const bits = prime.toString(2).length
    const below = Array.from({ length: 67 }, (_, i) => prime - 1n - BigInt(i % 3))
    const check = (residues: readonly bigint[]): boolean => {
      const packed = packBits(halvesOf(residues), bits)
      const shifted = new Uint8Array(packed.length + 1).fill(0xff)
      shifted.set(packed, 1)
      return packedBelow(shifted.subarray(1), bits, residues.length, prime)
    }
    t.ok(check(below), `${bits} bits`)
    for (const place of [0, 1, 32, 33, 66]) {
      for (const large of [prime, (1n << BigInt(bits)) - 1n]) {
        t.notOk(check(below.with(place, large)), `${large} at ${place} of ${bits} bits`)
      }
    }
  }
})
