import fc from 'fast-check'
import t from 'tap'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { CONVERSION_CHUNK } from '../../../src/he-ops/simd/operations/convert.ts'
import { GaloisTables } from '../../../src/he-ops/simd/tables/galois-table.ts'
import { createModulus, type Modulus } from '../../../src/he-ops/simd/tables/modulus.ts'
import {
  equal,
  heap,
  kernels,
  largestPrime,
  type Memory,
  type Pattern,
  patterns,
  primeOfBits,
  primes,
  reduce,
  requireEqual,
  residues,
  withMemory,
} from './fixture.ts'

const RING = 8
const GRANULE: number = kernels.DOT_GRANULE.value

/** A weighted sum on a range of residues. */
interface Sum {
  readonly prime: bigint
  /** Start and length of the range, in granules. */
  readonly from: number
  readonly granules: number
  /** Block terms, by log2 of the block's length; and the number of vector terms. */
  readonly shifts: readonly number[]
  readonly vectors: number
  readonly kind: Pattern
  readonly biasKind: Pattern
  readonly seed: number
  /** The output overwrites this term's residues. */
  readonly aliased: number | undefined
}

/** Numbers of terms around the largest number that is accumulated before a reduction. */
const counts = (chunk: number): number[] => [chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 2]

const blockShifts = fc.constantFrom(4, 5, 6, 13)

const small: fc.Arbitrary<Sum> = fc.record({
  prime: primes(RING),
  from: fc.nat(3),
  granules: fc.constantFrom(1, 3, 5),
  shifts: fc.array(blockShifts, { maxLength: 30 }),
  vectors: fc.nat(30),
  kind: patterns,
  biasKind: patterns,
  seed: fc.nat(),
  aliased: fc.option(fc.nat(), { nil: undefined }),
})

/** The largest residues, with numbers of terms around the reductions. */
const extreme: fc.Arbitrary<Sum> = fc
  .tuple(fc.integer({ min: 25, max: 30 }), fc.nat(4), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([bits, which, share]) => {
    const prime = bits === 30 ? largestPrime(RING) : primeOfBits(RING, bits)
    const total = counts(chunkOf(prime))[which]
    const blocks = Math.round(total * share)
    return {
      prime,
      from: 0,
      granules: 1,
      shifts: Array.from({ length: blocks }, () => 4),
      vectors: total - blocks,
      kind: 'largest',
      biasKind: 'largest',
      seed: 0,
      aliased: undefined,
    }
  })

const chunkOf = (prime: bigint): number => Number(2n ** 33n / prime)

/** A sum's operands in plain arrays. */
function operands({ prime, from, granules, shifts, vectors, kind, biasKind, seed }: Sum) {
  const q = Number(prime)
  const size = (from + granules) * GRANULE
  const some = (length: number, salt: number): Uint32Array => residues(length, q, kind, seed + salt)
  const terms = [
    ...shifts.map((shift, i) => ({
      x: some(size, 2 * i),
      w: some(Math.ceil(size / 2 ** shift), 2 * i + 1),
      shift,
    })),
    ...Array.from({ length: vectors }, (_, i) => ({
      x: some(size, 1000 + 2 * i),
      w: some(size, 1001 + 2 * i),
      shift: 0,
    })),
  ]
  return { q, size, terms, bias: residues(1, q, biasKind, seed + 5000)[0] }
}

/** The range by bigint arithmetic; residues outside it are `before`. */
function oracle(sum: Sum, before: Uint32Array): Uint32Array {
  const { terms, bias } = operands(sum)
  const { prime, from, granules } = sum
  const inverse = powMod(2n ** 32n, prime - 2n, prime)
  return before.map((word, r) => {
    if (r < from * GRANULE || r >= (from + granules) * GRANULE) return word
    const total = terms.reduce((all, { x, w, shift }) => all + BigInt(x[r]) * BigInt(w[r >> shift]), 0n)
    return reduce(total * inverse + BigInt(bias), prime)
  })
}

/** The kernel's output, and the previous contents. */
function run(memory: Memory, sum: Sum, modulus: Pick<Modulus, 'q' | 'inverse' | 'chunk'>) {
  const { q, size, terms, bias } = operands(sum)
  const placed = terms.map(({ x, w, shift }) => ({ x: memory.words(x), w: memory.words(w).address, shift }))
  const out =
    sum.aliased === undefined || terms.length === 0
      ? memory.words(residues(size, q, 'random', 77))
      : placed[sum.aliased % terms.length].x
  const before = out.read()
  const blocks = placed.slice(0, sum.shifts.length).flatMap(({ x, w, shift }) => [x.address, w, shift])
  const vectors = placed.slice(sum.shifts.length).flatMap(({ x, w }) => [x.address, w])
  kernels.dot(
    out.address,
    memory.words(blocks).address,
    sum.shifts.length,
    memory.words(vectors).address,
    sum.vectors,
    sum.from * GRANULE,
    sum.granules * GRANULE,
    modulus.q,
    modulus.inverse,
    modulus.chunk,
    bias,
  )
  return { before, after: out.read() }
}

function withModulus<T>(prime: bigint, body: (modulus: Modulus) => T): T {
  const modulus = createModulus(heap, RING, prime)
  try {
    return body(modulus)
  } finally {
    heap.free(modulus.forward)
    heap.free(modulus.backward)
  }
}

const check = (sum: Sum): void =>
  withModulus(sum.prime, (modulus) =>
    withMemory((memory) => {
      const { before, after } = run(memory, sum, modulus)
      requireEqual(after, oracle(sum, before), `${sum.shifts.length} + ${sum.vectors} terms`)
    }),
  )

t.test('block and vector terms are summed over any range; the output may be one of the inputs', async () => {
  fc.assert(fc.property(small, check), { numRuns: 400, seed: 3 })
})

t.test('without terms the sum is the bias', async () => {
  fc.assert(
    fc.property(small, (sum) => check({ ...sum, shifts: [], vectors: 0 })),
    { numRuns: 50, seed: 4 },
  )
})

t.test('sums around the largest number of products before a reduction are exact', async () => {
  fc.assert(fc.property(extreme, check), { numRuns: 200, seed: 5 })
})

t.test('a permuted sum is the permutation of the sum', async () => {
  const ring = 256
  const galois = new GaloisTables(heap, ring)
  fc.assert(
    fc.property(
      primes(ring),
      fc.nat(2),
      fc.integer({ min: 1, max: 14 }),
      fc.nat(),
      (prime, shifts, vectors, seed) =>
        withModulus(prime, ({ q, inverse, chunk }) =>
          withMemory((memory) => {
            const element = 2 * (seed % ring) + 1
            const polynomial = (salt: number): number =>
              memory.words(residues(ring, q, 'random', seed + salt)).address
            const blockTerms = Array.from({ length: shifts }, (_, i) => [
              polynomial(i),
              polynomial(50 + i),
              4,
            ]).flat()
            const blocks = memory.words(blockTerms).address
            const terms = memory.words(
              Array.from({ length: 2 * vectors }, (_, i) => polynomial(100 + i)),
            ).address
            const [plain, expected, found] = Array.from({ length: 3 }, () => memory.words(ring))
            kernels.dot(plain.address, blocks, shifts, terms, vectors, 0, ring, q, inverse, chunk, 0)
            kernels.permute(expected.address, plain.address, galois.table(element), galois.patterns, ring)
            const targets = galois.targets(element)
            kernels.dotPermuted(
              found.address,
              blocks,
              shifts,
              terms,
              vectors,
              ring,
              q,
              inverse,
              chunk,
              targets,
              galois.patterns,
            )
            requireEqual(found.read(), expected.read(), `X -> X^${element}`)
          }),
        ),
    ),
    { numRuns: 100, seed: 6 },
  )
})

t.test('thousands of terms modulo a small prime are summed', async (t) => {
  const prime = primeOfBits(RING, 20)
  for (const vectors of counts(chunkOf(prime)).slice(0, 3)) {
    // One pair of arrays serves all terms.
    withModulus(prime, ({ q, inverse, chunk }) =>
      withMemory((memory) => {
        const largest = memory.words(residues(GRANULE, q, 'largest', 0)).address
        const terms = memory.words(Array.from({ length: 2 * vectors }, () => largest))
        const out = memory.words(GRANULE)
        kernels.dot(out.address, 0, 0, terms.address, vectors, 0, GRANULE, q, inverse, chunk, q - 1)
        const expected = reduce(BigInt(vectors) * powMod(2n ** 32n, prime - 2n, prime) - 1n, prime)
        t.ok(
          out.read().every((word) => word === expected),
          `${vectors} terms`,
        )
      }),
    )
  }
})

t.test('residues of larger primes are summed, as in base conversion', async (t) => {
  const prime = primeOfBits(RING, 20)
  const vectors = 40
  const inverse32 = powMod(2n ** 32n, prime - 2n, prime)
  withModulus(prime, ({ q, inverse, chunk }) => {
    const sumOf = (most: number): number =>
      withMemory((memory) => {
        const x = memory.words(residues(GRANULE, Number(largestPrime(RING)), 'largest', 0)).address
        const w = memory.words(residues(GRANULE, q, 'largest', 0)).address
        const terms = memory.words(Array.from({ length: vectors }, () => [x, w]).flat())
        const out = memory.words(GRANULE)
        kernels.dot(out.address, 0, 0, terms.address, vectors, 0, GRANULE, q, inverse, most, 0)
        return out.read()[GRANULE - 1]
      })
    const expected = reduce(BigInt(vectors) * (largestPrime(RING) - 1n) * (prime - 1n) * inverse32, prime)
    t.equal(sumOf(CONVERSION_CHUNK), expected)
    t.not(sumOf(chunk), expected, 'the number of products for the prime itself is too large here')
  })
})

t.test(
  'a planted fault is detected: one product too many before a reduction, the inverse of another prime',
  async (t) => {
    const prime = largestPrime(RING)
    const chunk = chunkOf(prime)
    // Twice as many products of a prime this large, plus one, overflow 64 bits.
    const total = 2 * chunk + 1
    const sum: Sum = {
      prime,
      from: 0,
      granules: 1,
      shifts: [],
      vectors: total,
      kind: 'largest',
      biasKind: 'zero',
      seed: 0,
      aliased: undefined,
    }
    const isRight = (modulus: Pick<Modulus, 'q' | 'inverse' | 'chunk'>): boolean =>
      withMemory((memory) => {
        const { before, after } = run(memory, sum, modulus)
        return equal(after, oracle(sum, before))
      })
    withModulus(prime, (modulus) => {
      t.ok(isRight(modulus))
      t.notOk(isRight({ ...modulus, chunk: total }))
      t.notOk(isRight({ ...modulus, inverse: modulus.inverse ^ 2 }))
    })
  },
)
