import fc from 'fast-check'
import t from 'tap'
import type { ComplexVector } from '../../../src/circuit/types.ts'
import { embedPeriodic } from '../../../src/he-ops/encoding/embedding.ts'
import {
  asEncoded,
  complexSlotsOfPeriodic,
  embedPeriodicFast,
  slotsOfPeriodic,
} from '../../../src/he-ops/encoding/embedding-fft.ts'
import { createNtt, forwardNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'
import { dataLevel, plaintextToSeal } from '../../../src/he-ops/seal/serialization/serialization.ts'
import { fromSealOrder } from '../../../src/he-ops/seal/slot-order.ts'
import { sealFixture, smallParameters } from '../seal/fixture.ts'

const distinct = (length: number, salt = 1): Float64Array =>
  Float64Array.from({ length }, (_, i) => Math.sin(3 * i + salt) * (i % 3 === 0 ? -2.5 : 1.25))

const largestDifference = (a: Float64Array, b: Float64Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)

for (let period = 1; period <= 512; period *= 2) {
  t.test(`period ${period}: the fast embedding agrees with the plain one`, async (t) => {
    for (const values of [distinct(period), new Float64Array(period).fill(1), unit(period, period - 1)]) {
      const difference = largestDifference(embedPeriodicFast(values), embedPeriodic(values))
      t.ok(difference < 1e-13, `off by ${difference}`)
      const back = largestDifference(slotsOfPeriodic(embedPeriodic(values)), values)
      t.ok(back < 1e-12, `the slots come back with an error of ${back}`)
    }
  })
}

const complex = (length: number): ComplexVector => ({
  real: distinct(length),
  imaginary: distinct(length, 5),
})

const largestComplexDifference = (a: ComplexVector, b: ComplexVector): number =>
  Math.max(largestDifference(a.real, b.real), largestDifference(a.imaginary, b.imaginary))

/** The slots of a polynomial by definition: slot s is its value at exp(pi i 5^s / 2p). */
function evaluated(coefficients: Float64Array): ComplexVector {
  const period = coefficients.length / 2
  const real = new Float64Array(period)
  const imaginary = new Float64Array(period)
  let exponent = 1
  for (let s = 0; s < period; s++) {
    coefficients.forEach((c, k) => {
      const angle = (2 * Math.PI * ((k * exponent) % (4 * period))) / (4 * period)
      real[s] += c * Math.cos(angle)
      imaginary[s] += c * Math.sin(angle)
    })
    exponent = (exponent * 5) % (4 * period)
  }
  return { real, imaginary }
}

for (let period = 1; period <= 256; period *= 2) {
  t.test(`period ${period}: complex slots`, async (t) => {
    const values = complex(period)
    const coefficients = embedPeriodic(values)
    const plain = largestComplexDifference(evaluated(coefficients), values)
    t.ok(plain < 1e-11, `the plain embedding has these slots, up to ${plain}`)
    const fast = largestDifference(embedPeriodicFast(values), coefficients)
    t.ok(fast < 1e-12, `the fast embedding is off by ${fast}`)
    const back = largestComplexDifference(complexSlotsOfPeriodic(coefficients), values)
    t.ok(back < 1e-11, `the slots come back with an error of ${back}`)
  })

  t.test(`period ${period}: Y^p is i, and Y -> 1 / Y conjugates`, async (t) => {
    const { real, imaginary } = complex(period)
    const coefficients = embedPeriodicFast({ real, imaginary })
    const turned = embedPeriodicFast({ real: imaginary.map((v) => -v), imaginary: real })
    const shifted = coefficients.map((_, k) =>
      k >= period ? coefficients[k - period] : -coefficients[k + period],
    )
    t.ok(largestDifference(turned, shifted) < 1e-12)
    const conjugate = embedPeriodicFast({ real, imaginary: imaginary.map((v) => -v) })
    const reversed = coefficients.map((_, k) => (k === 0 ? coefficients[0] : -coefficients[2 * period - k]))
    t.ok(largestDifference(conjugate, reversed) < 1e-12)
  })
}

t.test('complex slots without imaginary parts have the polynomial of real ones', async (t) => {
  const real = distinct(64)
  t.strictSame(embedPeriodicFast({ real, imaginary: new Float64Array(64) }), embedPeriodicFast(real))
})

function unit(length: number, at: number): Float64Array {
  const values = new Float64Array(length)
  values[at] = 1
  return values
}

t.test('dot is linear in values of any size', async () => {
  const value = fc.double({ min: -1e6, max: 1e6, noNaN: true })
  fc.assert(
    fc.property(fc.array(value, { minLength: 16, maxLength: 16 }), value, (list, factor) => {
      const values = Float64Array.from(list)
      const scaled = embedPeriodicFast(values.map((v) => v * factor))
      const difference = largestDifference(
        scaled,
        embedPeriodic(values).map((c) => c * factor),
      )
      if (difference > 1e-3) throw new Error(`off by ${difference}`)
    }),
    { numRuns: 100, seed: 13 },
  )
})

for (const [kind, slots] of [
  ['real', distinct],
  ['complex', complex],
] as const) {
  t.test(`asEncoded rounds the coefficients of ${kind} slots to integers, by at most a half`, async (t) => {
    for (const period of [1, 2, 16, 256]) {
      const values = slots(period)
      const before = embedPeriodic(values)
      const after = embedPeriodic(asEncoded(values, 8))
      t.ok(
        after.every(
          (c, k) => Math.abs(8 * c - Math.round(8 * c)) < 1e-9 && Math.abs(c - before[k]) * 8 < 0.5 + 1e-9,
        ),
        `period ${period}`,
      )
      t.ok(largestDifference(after, before) > 0.01, 'positive control')
    }
  })
}

t.test("node-seal's decoder returns the slots at full size", async (t) => {
  const parameters = smallParameters([60, 40], 60)
  const fixture = await sealFixture(parameters, [])
  const { ctx } = fixture
  const { ring, slots, primes } = parameters
  const values = distinct(slots)
  const scale = 2 ** 40
  const coefficients = embedPeriodicFast(values)
  t.equal(coefficients.length, ring)
  const halves = new Uint32Array(
    BigUint64Array.from(
      primes.flatMap((prime) => {
        const residues = Array.from(coefficients, (c) => {
          const integer = BigInt(Math.round(c * scale)) % prime
          return integer < 0n ? integer + prime : integer
        })
        forwardNtt(createNtt(ring, minimalRoot(ring, prime), prime), residues)
        return residues
      }),
    ).buffer,
  )
  const plaintext = new ctx.seal.Plaintext()
  plaintext.loadFromArray(ctx.context, plaintextToSeal(dataLevel(ctx, 1), halves, scale))
  const encoder = new ctx.seal.CKKSEncoder(ctx.context)
  const decoded = fromSealOrder(encoder.decodeFloat64(plaintext) as Float64Array)
  // Rounding N coefficients by up to a half gives errors of about 20 in the slots, which is 2^-35 at this
  // scale.
  const difference = largestDifference(values, decoded)
  t.ok(difference < 2 ** -33, `off by ${difference}`)
  const rotated = values.map((_, s) => values[(s + 1) % slots])
  t.ok(largestDifference(rotated, decoded) > 1, 'positive control')
  for (const object of [encoder, plaintext]) object.delete()
  fixture.delete()
})
