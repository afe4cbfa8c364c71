import fc from 'fast-check'
import t from 'tap'
import { createModulus, shoup } from '../../../src/he-ops/simd/tables/modulus.ts'
import {
  equal,
  heap,
  kernels,
  largestPrime,
  type Pattern,
  patterns,
  primes,
  reduce,
  requireEqual,
  residues,
  withMemory,
} from './fixture.ts'

const RING = 8

interface Case {
  readonly prime: bigint
  readonly size: number
  readonly seed: number
  readonly kinds: readonly Pattern[]
  /** The output is one of the inputs. */
  readonly inPlace: boolean
}

const cases: fc.Arbitrary<Case> = fc.record({
  prime: primes(RING),
  size: fc.integer({ min: 1, max: 40 }).map((vectors) => 4 * vectors),
  seed: fc.nat(),
  kinds: fc.array(patterns, { minLength: 4, maxLength: 4 }),
  inPlace: fc.boolean(),
})

const check = (body: (given: Case) => void): void =>
  fc.assert(fc.property(cases, body), { numRuns: 300, seed: 1 })

/** The same operation in bigint arithmetic, word by word. */
const pointwise = (
  a: Uint32Array,
  b: Uint32Array,
  prime: bigint,
  f: (x: bigint, y: bigint) => bigint,
): Uint32Array => a.map((x, i) => reduce(f(BigInt(x), BigInt(b[i])), prime))

for (const kind of ['add', 'subtract'] as const) {
  t.test(kind, async () => {
    check(({ prime, size, seed, kinds, inPlace }) =>
      withMemory((memory) => {
        const q = Number(prime)
        const a = residues(size, q, kinds[0], seed)
        const b = residues(size, q, kinds[1], seed + 1)
        const left = memory.words(a)
        const right = memory.words(b)
        const out = inPlace ? right : memory.words(size)
        kernels[kind](out.address, left.address, right.address, size, q)
        requireEqual(
          out.read(),
          pointwise(a, b, prime, kind === 'add' ? (x, y) => x + y : (x, y) => x - y),
          kind,
        )
        requireEqual(left.read(), a, 'the operand stays')
      }),
    )
  })
}

t.test('addBlocks', async () => {
  fc.assert(
    fc.property(cases, fc.constantFrom(0, 2, 3, 4, 7), ({ prime, size, seed, kinds, inPlace }, shift) =>
      withMemory((memory) => {
        const q = Number(prime)
        const a = residues(size, q, kinds[0], seed)
        const w = residues(Math.ceil(size / 2 ** shift), q, kinds[1], seed + 1)
        const from = memory.words(a)
        const out = inPlace ? from : memory.words(size)
        kernels.addBlocks(out.address, from.address, memory.words(w).address, shift, size, q)
        const spread = a.map((_, r) => w[r >> shift])
        requireEqual(
          out.read(),
          pointwise(a, spread, prime, (x, y) => x + y),
          `shift ${shift}`,
        )
      }),
    ),
    { numRuns: 300, seed: 2 },
  )
})

t.test('scale', async () => {
  check(({ prime, size, seed, kinds, inPlace }) =>
    withMemory((memory) => {
      const q = Number(prime)
      const a = residues(size, q, kinds[0], seed)
      const [bias] = residues(1, q, kinds[1], seed + 1)
      const [factor] = residues(1, q, kinds[2], seed + 2)
      const { w, quotient } = shoup(BigInt(factor), prime)
      const from = memory.words(a)
      const out = inPlace ? from : memory.words(size)
      kernels.scale(out.address, from.address, bias, w, quotient, size, q)
      const expected = pointwise(a, a, prime, (x) => (x + BigInt(bias)) * BigInt(factor))
      requireEqual(out.read(), expected, 'scale')
    }),
  )
})

t.test('reduce', async () => {
  check(({ prime, size, seed, kinds, inPlace }) =>
    withMemory((memory) => {
      const q = Number(prime)
      // Residues of a prime that is at most five times as large, below 2^30.
      const other = Math.min(5 * q, 2 ** 30)
      const a = residues(size, other, kinds[0], seed)
      const [bias] = residues(1, q, kinds[1], seed + 1)
      const from = memory.words(a)
      const out = inPlace ? from : memory.words(size)
      kernels.reduce(out.address, from.address, bias, size, q)
      requireEqual(
        out.read(),
        pointwise(a, a, prime, (x) => x + BigInt(bias)),
        'reduce',
      )
    }),
  )
})

t.test('subtractScale', async () => {
  check(({ prime, size, seed, kinds, inPlace }) =>
    withMemory((memory) => {
      const q = Number(prime)
      const a = residues(size, q, kinds[0], seed)
      const b = residues(size, q, kinds[1], seed + 1)
      const [factor] = residues(1, q, kinds[2], seed + 2)
      const { w, quotient } = shoup(BigInt(factor), prime)
      const right = memory.words(b)
      const out = inPlace ? right : memory.words(size)
      kernels.subtractScale(out.address, memory.words(a).address, right.address, w, quotient, size, q)
      const expected = pointwise(a, b, prime, (x, y) => (x - y) * BigInt(factor))
      requireEqual(out.read(), expected, 'subtractScale')
    }),
  )
})

t.test('multiplyPairs', async () => {
  check(({ prime, size, seed, kinds, inPlace }) =>
    withMemory((memory) => {
      const q = Number(prime)
      const modulus = createModulus(heap, RING, prime)
      const [a0, a1, b0, b1] = kinds.map((kind, i) => residues(size, q, kind, seed + i))
      const [x0, x1, y0, y1] = [a0, a1, b0, b1].map((words) => memory.words(words))
      const outs = inPlace ? [x0, x1, y0] : [size, size, size].map((words) => memory.words(words))
      kernels.multiplyPairs(
        ...[...outs, x0, x1, y0, y1].map(({ address }) => address),
        size,
        q,
        modulus.inverse,
        modulus.square,
      )
      const product = (a: Uint32Array, b: Uint32Array): Uint32Array => pointwise(a, b, prime, (x, y) => x * y)
      const cross = pointwise(product(a0, b1), product(a1, b0), prime, (x, y) => x + y)
      requireEqual(outs[0].read(), product(a0, b0), 'first')
      requireEqual(outs[1].read(), cross, 'second')
      requireEqual(outs[2].read(), product(a1, b1), 'third')
      heap.free(modulus.forward)
      heap.free(modulus.backward)
    }),
  )
})

t.test('copy', async () => {
  check(({ prime, size, seed }) =>
    withMemory((memory) => {
      const a = residues(size, Number(prime), 'random', seed)
      const out = memory.words(size)
      kernels.copy(out.address, memory.words(a).address, size)
      requireEqual(out.read(), a, 'copy')
    }),
  )
})

t.test('a planted fault is detected: a wrong quotient, another prime', async (t) => {
  const prime = largestPrime(RING)
  const q = Number(prime)
  const a = residues(64, q, 'largest', 0)
  const run = (quotient: number, modulus: number): Uint32Array =>
    withMemory((memory) => {
      const out = memory.words(64)
      kernels.scale(out.address, memory.words(a).address, 0, q - 1, quotient, 64, modulus)
      return out.read()
    })
  const expected = a.map(() => 1)
  const { quotient } = shoup(prime - 1n, prime)
  t.ok(equal(run(quotient, q), expected))
  t.notOk(equal(run(quotient - 16, q), expected))
  t.notOk(equal(run(quotient, q - 16), expected))
})
