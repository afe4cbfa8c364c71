import fc from 'fast-check'
import t from 'tap'
import { invert, powMod } from '../../../src/circuit/parameters/primes.ts'
import { createNtt, forwardNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'
import { bitReverse, log2Exact } from '../../../src/he-ops/encoding/order.ts'
import { createModulus, type Modulus, shoup } from '../../../src/he-ops/simd/tables/modulus.ts'
import {
  equal,
  generator,
  heap,
  kernels,
  largestPrime,
  patterns,
  primeOfBits,
  primes,
  requireEqual,
  residues,
  smallestPrime,
  withMemory,
} from './fixture.ts'

function withModulus<T>(ring: number, prime: bigint, body: (modulus: Modulus) => T): T {
  const modulus = createModulus(heap, ring, prime)
  try {
    return body(modulus)
  } finally {
    heap.free(modulus.forward)
    heap.free(modulus.backward)
  }
}

function forward(modulus: Modulus, values: Uint32Array): Uint32Array {
  return withMemory((memory) => {
    const placed = memory.words(values)
    kernels.nttForward(placed.address, modulus.forward, modulus.quotients, values.length, modulus.q)
    return placed.read()
  })
}

/** Constants of the last stage, for transforms of at most the modulus' ring. */
function inverse(modulus: Modulus, values: Uint32Array): Uint32Array {
  const size = values.length
  const { prime } = modulus
  const scale = shoup(invert(BigInt(size), prime), prime)
  const [, w1] = heap.words(modulus.backward, 2)
  const last = shoup(BigInt(w1) * BigInt(scale.w), prime)
  return withMemory((memory) => {
    const placed = memory.words(values)
    kernels.nttInverse(
      placed.address,
      modulus.backward,
      modulus.quotients,
      size,
      modulus.q,
      scale.w,
      scale.quotient,
      last.w,
      last.quotient,
    )
    return placed.read()
  })
}

/** The value of a polynomial at entry b's point: root^(2 bitReverse(b) + 1). */
function evaluate(values: Uint32Array, root: bigint, prime: bigint, b: number): number {
  const x = powMod(root, BigInt(2 * bitReverse(b, log2Exact(values.length)) + 1), prime)
  return Number(values.reduceRight((sum, value) => (sum * x + BigInt(value)) % prime, 0n))
}

/** The plain transform, which test/he-ops/encoding/periodic.test.ts compares with evaluation. */
function plain(values: Uint32Array, root: bigint, prime: bigint): Uint32Array {
  const words = Array.from(values, BigInt)
  forwardNtt(createNtt(values.length, root, prime), words)
  return Uint32Array.from(words, Number)
}

const sizes = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

t.test(
  'the transform evaluates at the odd powers of the root, and the inverse undoes it, for every small size',
  async () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...sizes).chain((size) => fc.tuple(fc.constant(size), primes(size))),
        patterns,
        fc.nat(),
        ([size, prime], kind, seed) =>
          withModulus(size, prime, (modulus) => {
            const values = residues(size, modulus.q, kind, seed)
            const root = minimalRoot(size, prime)
            const transformed = forward(modulus, values)
            const expected =
              size <= 64 ? values.map((_, b) => evaluate(values, root, prime, b)) : plain(values, root, prime)
            requireEqual(transformed, expected, `forward of ${size} modulo ${prime}`)
            requireEqual(inverse(modulus, transformed), values, `forward and back, ${size} modulo ${prime}`)
            // The inverse transform is tested on its own inputs, because transforms of extreme values are not
            // extreme.
            requireEqual(forward(modulus, inverse(modulus, values)), values, `back and forward, ${size}`)
          }),
      ),
      { numRuns: 300, seed: 6 },
    )
  },
)

for (const size of [2048, 4096, 8192, 16384, 32768, 65536]) {
  t.test(`a transform of size ${size} agrees with evaluation`, async (t) => {
    for (const prime of [smallestPrime(size), primeOfBits(size, 24, 5), largestPrime(size)]) {
      withModulus(size, prime, (modulus) => {
        const root = minimalRoot(size, prime)
        const random = generator(size)
        for (const kind of ['random', 'largest', 'extremes'] as const) {
          const values = residues(size, modulus.q, kind, size)
          const transformed = forward(modulus, values)
          if (kind === 'random') t.ok(equal(transformed, plain(values, root, prime)), `all entries, ${prime}`)
          for (const b of [0, 1, size - 1, random(size)]) {
            t.equal(transformed[b], evaluate(values, root, prime, b), `${kind}, entry ${b} modulo ${prime}`)
          }
          t.ok(equal(inverse(modulus, transformed), values), `${kind}, back modulo ${prime}`)
          t.ok(equal(forward(modulus, inverse(modulus, values)), values), `${kind}, back and forward`)
        }
      })
    }
  })
}

t.test('tables of smaller transforms are prefixes of larger ones', async () => {
  const ring = 4096
  const prime = largestPrime(ring)
  withModulus(ring, prime, (modulus) => {
    const root = minimalRoot(ring, prime)
    for (let size = 2; size < ring; size *= 2) {
      let small = root
      for (let n = size; n < ring; n *= 2) small = (small * small) % prime
      const values = residues(size, modulus.q, 'random', size)
      requireEqual(forward(modulus, values), plain(values, small, prime), `size ${size} in ring ${ring}`)
      requireEqual(inverse(modulus, forward(modulus, values)), values, `back, size ${size}`)
    }
  })
})

t.test("the modulus' own constants invert the transform of its ring", async (t) => {
  const ring = 64
  withModulus(ring, primeOfBits(ring, 28), (modulus) => {
    const values = residues(ring, modulus.q, 'random', 9)
    const back = withMemory((memory) => {
      const placed = memory.words(forward(modulus, values))
      const { inverseSize, last } = modulus
      kernels.nttInverse(
        placed.address,
        modulus.backward,
        modulus.quotients,
        ring,
        modulus.q,
        inverseSize.w,
        inverseSize.quotient,
        last.w,
        last.quotient,
      )
      return placed.read()
    })
    t.ok(equal(back, values))
  })
})

t.test('a planted fault is detected: the table of another prime, one wrong root', async (t) => {
  const size = 256
  const prime = largestPrime(size)
  const root = minimalRoot(size, prime)
  withModulus(size, prime, (modulus) =>
    withModulus(size, primeOfBits(size, 30), (other) => {
      const values = residues(size, modulus.q, 'random', 1)
      const expected = plain(values, root, prime)
      t.ok(equal(forward(modulus, values), expected))
      t.notOk(equal(forward({ ...modulus, forward: other.forward }, values), expected))
      t.notOk(equal(forward({ ...modulus, forward: modulus.backward }, values), expected))
      heap.words(modulus.forward, size)[size - 1] ^= 1
      t.notOk(equal(forward(modulus, values), expected), 'the last root is used')
    }),
  )
})
