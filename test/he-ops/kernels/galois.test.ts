import fc from 'fast-check'
import t from 'tap'
import { galoisElement } from '../../../src/circuit/keys.ts'
import { createNtt, forwardNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'
import { inverseElement } from '../../../src/he-ops/simd/keys/key-set.ts'
import { GaloisTables } from '../../../src/he-ops/simd/tables/galois-table.ts'
import { equal, heap, kernels, primeOfBits, requireEqual, residues, withMemory } from './fixture.ts'

const RINGS = [8, 16, 32, 256, 1024, 8192, 65536]
const tables = new Map(RINGS.map((ring) => [ring, new GaloisTables(heap, ring)]))

function permuted(ring: number, values: Uint32Array, element: number): Uint32Array {
  const galois = tables.get(ring)!
  return withMemory((memory) => {
    const out = memory.words(ring)
    const from = memory.words(values)
    kernels.permute(out.address, from.address, galois.table(element), galois.patterns, ring)
    requireEqual(from.read(), values, 'the operand stays')
    return out.read()
  })
}

const elements = (ring: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.nat(ring - 1).map((half) => 2 * half + 1),
    fc.constantFrom(1, 3, ring - 1, ring + 1, 2 * ring - 1),
  )

/** a(X^element) modulo X^N + 1. */
function automorphism(a: readonly bigint[], element: number, prime: bigint): bigint[] {
  const ring = a.length
  const image = a.map(() => 0n)
  a.forEach((coefficient, i) => {
    const power = (i * element) % (2 * ring)
    image[power % ring] = power < ring ? coefficient : (prime - coefficient) % prime
  })
  return image
}

const transformed = (a: readonly bigint[], prime: bigint): Uint32Array => {
  const values = [...a]
  forwardNtt(createNtt(a.length, minimalRoot(a.length, prime), prime), values)
  return Uint32Array.from(values, Number)
}

t.test('an automorphism in NTT form is that of the polynomial', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...RINGS.slice(0, 4)).chain((ring) => fc.tuple(fc.constant(ring), elements(ring))),
      fc.nat(),
      ([ring, element], seed) => {
        const prime = primeOfBits(ring, 26, seed)
        const a = Array.from(residues(ring, Number(prime), 'random', seed), BigInt)
        const found = permuted(ring, transformed(a, prime), element)
        requireEqual(
          found,
          transformed(automorphism(a, element, prime), prime),
          `X -> X^${element}, ring ${ring}`,
        )
      },
    ),
    { numRuns: 200, seed: 8 },
  )
})

t.test(
  'the composition of automorphisms is that of the product of elements; the inverse undoes one',
  async () => {
    fc.assert(
      fc.property(
        fc
          .constantFrom(...RINGS)
          .chain((ring) => fc.tuple(fc.constant(ring), elements(ring), elements(ring))),
        ([ring, g, h]) => {
          const values = Uint32Array.from({ length: ring }, (_, i) => i)
          const both = permuted(ring, permuted(ring, values, g), h)
          requireEqual(both, permuted(ring, values, (g * h) % (2 * ring)), `${g} then ${h}, ring ${ring}`)
          const back = permuted(ring, permuted(ring, values, g), inverseElement(g, ring))
          requireEqual(back, values, `${g} and back, ring ${ring}`)
        },
      ),
      { numRuns: 200, seed: 9 },
    )
  },
)

t.test('conjugation is its own inverse, and an element has one table', async (t) => {
  for (const ring of RINGS) {
    const values = Uint32Array.from({ length: ring }, (_, i) => i)
    const conjugated = permuted(ring, values, 2 * ring - 1)
    t.notOk(equal(conjugated, values))
    t.ok(equal(permuted(ring, conjugated, 2 * ring - 1), values))
    t.equal(tables.get(ring)!.table(2 * ring - 1), tables.get(ring)!.table(2 * ring - 1))
  }
})

t.test('a planted fault is detected: a rotation in the other direction', async (t) => {
  const ring = 1024
  const values = Uint32Array.from({ length: ring }, (_, i) => i)
  const left = galoisElement(ring, 5)
  const rotated = permuted(ring, values, left)
  t.ok(equal(permuted(ring, rotated, inverseElement(left, ring)), values))
  t.notOk(equal(permuted(ring, rotated, left), values))
})
