import fc from 'fast-check'
import t from 'tap'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { createModulus } from '../../../src/he-ops/simd/tables/modulus.ts'
import {
  type Buffer32,
  heap,
  kernels,
  largestPrime,
  type Memory,
  type Pattern,
  patterns,
  primes,
  reduce,
  requireEqual,
  residues,
  withMemory,
} from './fixture.ts'

const RING = 16
const POLYNOMIALS = [0, 1]

/** Sums of the same ciphertexts on a range of residues. */
interface Sums {
  readonly prime: bigint
  /** log2 of a block's length. */
  readonly shift: number
  /** Start and length of the range, in blocks. */
  readonly from: number
  readonly blocks: number
  readonly terms: number
  /** For each sum the terms that it lacks. */
  readonly missing: readonly (readonly number[])[]
  readonly kind: Pattern
  readonly seed: number
}

const sums: fc.Arbitrary<Sums> = fc.record({
  prime: primes(RING),
  shift: fc.constantFrom(4, 5, 6),
  from: fc.nat(2),
  blocks: fc.constantFrom(1, 2, 3),
  terms: fc.integer({ min: 1, max: 20 }),
  missing: fc.array(fc.uniqueArray(fc.nat(19), { maxLength: 3 }), { minLength: 1, maxLength: 5 }),
  kind: patterns,
  seed: fc.nat(),
})

/** The operands in kernel memory. */
function place(memory: Memory, { prime, shift, from, blocks, terms, missing, kind, seed }: Sums) {
  const q = Number(prime)
  const words = (length: number, salt: number): Buffer32 =>
    memory.words(residues(length, q, kind, seed + salt))
  const size = (from + blocks) << shift
  const inputs = POLYNOMIALS.map((p) => Array.from({ length: terms }, (_, i) => words(size, 2 * i + p)))
  const weights = missing.map((absent, s) =>
    Array.from({ length: terms }, (_, i) =>
      absent.includes(i) ? undefined : words(from + blocks, 100 * (s + 1) + i),
    ),
  )
  const outs = POLYNOMIALS.map((p) => missing.map((_, s) => memory.words(residues(size, q, 'random', s + p))))
  return { inputs, weights, outs }
}

function check(given: Sums): void {
  const { prime, shift, from, blocks, terms, missing } = given
  const inverse32 = powMod(2n ** 32n, prime - 2n, prime)
  const { q, inverse, chunk, forward, backward } = createModulus(heap, RING, prime)
  withMemory((memory) => {
    const { inputs, weights, outs } = place(memory, given)
    const before = outs.map((some) => some.map((out) => out.read()))
    kernels.dotShared(
      memory.words(outs.flat().map(({ address }) => address)).address,
      missing.length,
      memory.words(inputs.flat().map(({ address }) => address)).address,
      terms,
      memory.words(weights.flat().map((weight) => weight?.address ?? 0)).address,
      shift,
      from << shift,
      blocks << shift,
      q,
      inverse,
      chunk,
      memory.words(missing.length * terms).address,
    )
    for (const p of POLYNOMIALS) {
      const xs = inputs[p].map((input) => input.read())
      weights.forEach((own, s) => {
        const ws = own.map((weight) => weight?.read())
        const wanted = before[p][s].map((word, r) => {
          if (r < from << shift) return word
          const total = xs.reduce((sum, x, i) => sum + BigInt(x[r]) * BigInt(ws[i]?.[r >> shift] ?? 0), 0n)
          return reduce(total * inverse32, prime)
        })
        requireEqual(outs[p][s].read(), wanted, `polynomial ${p} of sum ${s}`)
      })
    }
  })
  heap.free(forward)
  heap.free(backward)
}

t.test('sums of the same inputs are exact, and zero where a sum lacks an input', async () => {
  fc.assert(fc.property(sums, check), { numRuns: 400, seed: 8 })
})

t.test('sums around the largest number of products before a reduction are exact', async () => {
  for (const terms of [7, 8, 9, 16, 17, 26]) {
    check({
      prime: largestPrime(RING),
      shift: 4,
      from: 0,
      blocks: 2,
      terms,
      missing: [[], [], [3]],
      kind: 'largest',
      seed: 0,
    })
  }
})

t.test('a range may lie within one block', async (t) => {
  const { q, inverse, chunk } = createModulus(heap, RING, largestPrime(RING))
  withMemory((memory) => {
    const size = 256
    const xs = [1, 2, 3, 4].map((salt) => memory.words(residues(size, q, 'random', salt)))
    const ws = [5, 6, 7, 8].map((salt) => memory.words(residues(1, q, 'random', salt)).address)
    const outs = [1, 2, 3, 4].map(() => memory.words(new Uint32Array(size)))
    const addresses = (buffers: readonly Buffer32[]): number =>
      memory.words(buffers.map(({ address }) => address)).address
    const scratch = memory.words(4).address
    const tables = [addresses(outs), addresses(xs), memory.words(ws).address]
    kernels.dotShared(tables[0], 2, tables[1], 2, tables[2], 8, 64, 96, q, inverse, chunk, scratch)
    const blocks = memory.words([xs[2].address, ws[2], 8, xs[3].address, ws[3], 8]).address
    const wanted = memory.words(new Uint32Array(size))
    kernels.dot(wanted.address, blocks, 2, 0, 0, 64, 96, q, inverse, chunk, 0)
    requireEqual(outs[3].read(), wanted.read(), 'second polynomial of the second sum')
    t.ok(wanted.read().some((word) => word !== 0))
  })
})
