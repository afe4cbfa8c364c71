import fc from 'fast-check'
import t from 'tap'
import {
  equal,
  kernels,
  largestPrime,
  primeOfBits,
  primes,
  reduce,
  requireEqual,
  smallestPrime,
  withMemory,
} from './fixture.ts'

const RING = 8

function reduced(values: Float64Array, scale: number, q: number): Uint32Array {
  return withMemory((memory) => {
    const out = memory.words(values.length)
    kernels.reduceDoubles(out.address, memory.doubles(values), scale, values.length, q)
    return out.read()
  })
}

/** Rounds to the nearest integer, halves to even. */
function rounded(x: number): bigint {
  const below = Math.floor(x)
  const rest = x - below
  if (rest !== 0.5) return BigInt(rest > 0.5 ? below + 1 : below)
  return BigInt(below) % 2n === 0n ? BigInt(below) : BigInt(below) + 1n
}

const expected = (values: Float64Array, scale: number, q: number): Uint32Array =>
  Uint32Array.from(values, (value) => reduce(rounded(value * scale), BigInt(q)))

/** Doubles of all magnitudes up to 2^200 and both signs, including halves. */
const doubles = fc.oneof(
  fc
    .tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.integer({ min: 0, max: 200 }))
    .map(([m, e]) => m * 2 ** e),
  fc.integer().map((n) => n + 0.5),
  fc.integer().map((n) => n / 4),
  fc.maxSafeInteger(),
)

t.test('doubles of any size and sign are reduced exactly modulo any prime', async () => {
  fc.assert(
    fc.property(
      fc.array(doubles, { minLength: 1, maxLength: 21 }),
      fc.integer({ min: 0, max: 60 }),
      primes(RING),
      (list, bits, prime) => {
        const values = Float64Array.from(list)
        const q = Number(prime)
        const scale = 2 ** bits
        requireEqual(reduced(values, scale, q), expected(values, scale, q), `scale 2^${bits} modulo ${q}`)
      },
    ),
    { numRuns: 1000, seed: 10 },
  )
})

t.test('messages up to 2^52 are reduced exactly modulo any prime', async () => {
  const messages = fc.oneof(
    fc.double({ min: -(2 ** 52), max: 2 ** 52, noNaN: true }),
    fc.integer().map((n) => n / 2),
    fc.constantFrom(0, -0, 2 ** 52, -(2 ** 52), 2 ** 52 - 0.5, 0.5 - 2 ** 52),
  )
  fc.assert(
    fc.property(fc.array(messages, { minLength: 1, maxLength: 21 }), primes(RING), (list, prime) => {
      const q = Number(prime)
      // Multiples of the prime and the middles between them are where a quotient could be one off.
      const near = list.map((value) => Math.round(value / q) * q)
      const values = Float64Array.from([...list, ...near, ...near.map((value) => value + (q - 1) / 2)])
      const found = withMemory((memory) => {
        const out = memory.words(values.length)
        kernels.reduceMessage(out.address, memory.doubles(values), 1, values.length, q)
        return out.read()
      })
      requireEqual(found, expected(values, 1, q), `modulo ${q}`)
    }),
    { numRuns: 2000, seed: 12 },
  )
})

t.test('negative values, zero, halves and doubles without a fraction are reduced exactly', async (t) => {
  const special = [
    0,
    -0,
    1,
    -1,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    0.4999999999999999,
    -0.4999999999999999,
    5e-324,
    -5e-324,
    2 ** 31 - 0.5,
    2 ** 31,
    2 ** 32,
    2 ** 52 - 0.5,
    2 ** 52 + 1,
    2 ** 53 - 1,
    2 ** 53,
    2 ** 53 + 2,
    2 ** 54 + 4,
    2 ** 63,
    2 ** 64,
    2 ** 85,
    2 ** 86,
    2 ** 100,
    2 ** 100 + 2 ** 60,
    3 ** 60,
    2 ** 1000,
    Number.MAX_VALUE,
  ]
  const values = Float64Array.from(special.flatMap((x) => [x, -x]))
  for (const q of [smallestPrime(RING), primeOfBits(RING, 24), largestPrime(RING)].map(Number)) {
    t.strictSame([...reduced(values, 1, q)], [...expected(values, 1, q)], `modulo ${q}`)
    const multiples = Float64Array.from([q, 2 * q, 4 * q, q * 2 ** 40].flatMap((x) => [x, -x]))
    t.ok(
      reduced(multiples, 1, q).every((residue) => residue === 0),
      'multiples of the prime are 0, not the prime',
    )
  }
})

t.test('scales that are not powers of two round only the product', async () => {
  fc.assert(
    fc.property(doubles, fc.double({ min: 1e-3, max: 1e12, noNaN: true }), (value, scale) => {
      const q = Number(largestPrime(RING))
      const values = Float64Array.of(value)
      requireEqual(reduced(values, scale, q), expected(values, scale, q), `${value} * ${scale}`)
    }),
    { numRuns: 500, seed: 11 },
  )
})

t.test('a planted fault is detected: another prime, halves rounded away from zero', async (t) => {
  const values = Float64Array.of(2.5, 2 ** 70, -3)
  const q = Number(largestPrime(RING))
  t.ok(equal(reduced(values, 1, q), expected(values, 1, q)))
  t.notOk(equal(reduced(values, 1, q), expected(values, 1, q - 16)))
  t.not(reduced(values, 1, q)[0], Math.round(2.5))
})
