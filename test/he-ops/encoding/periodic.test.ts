import t from 'tap'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { embedPeriodic } from '../../../src/he-ops/encoding/embedding.ts'
import { createNtt, forwardNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'
import { bitReverse } from '../../../src/he-ops/encoding/order.ts'
import { expandPlaintext, PeriodicEncoder } from '../../../src/he-ops/encoding/periodic.ts'
import { residuesOf, sealFixture, smallParameters } from '../seal/fixture.ts'

const parameters = smallParameters([60, 40, 50])
const fixture = await sealFixture(parameters, [])
t.teardown(() => fixture.delete())

const { ring, slots } = parameters
const distinct = (length: number): Float64Array =>
  Float64Array.from({ length }, (_, i) => Math.sin(3 * i + 1) * (i % 3 === 0 ? -2.5 : 1.25))
const tile = (values: Float64Array): Float64Array =>
  Float64Array.from({ length: slots }, (_, i) => values[i % values.length])

/** Some coefficients of a residue polynomial in X^(N / size) in NTT form, centred, by direct inversion. */
function coefficients(residues: BigUint64Array, prime: bigint, size: number): bigint[] {
  const powers = [...new Set([0, 1, 2, size / 2 - 1, size / 2, size / 2 + 1, size - 1])].filter(
    (k) => k < size,
  )
  const root = powMod(minimalRoot(ring, prime), BigInt(ring / size), prime)
  const inverse = powMod(root, prime - 2n, prime)
  const bits = Math.log2(size)
  const values = Array.from({ length: size }, (_, i) => residues[bitReverse(i, bits) * (ring / size)])
  return powers.map((k) => {
    let sum = 0n
    values.forEach((value, i) => {
      sum += value * powMod(inverse, BigInt((2 * i + 1) * k), prime)
    })
    const c = (sum * powMod(BigInt(size), prime - 2n, prime)) % prime
    return c > prime / 2n ? c - prime : c
  })
}

t.test('the small transform is evaluation at the odd powers of the root', async (t) => {
  const [prime] = parameters.primes
  const size = 8
  const root = powMod(minimalRoot(ring, prime), BigInt(ring / size), prime)
  const polynomial = Array.from({ length: size }, (_, k) => BigInt(1000 * k + 7))
  const values = [...polynomial]
  forwardNtt(createNtt(size, root, prime), values)
  for (let b = 0; b < size; b++) {
    const x = powMod(root, BigInt(2 * bitReverse(b, 3) + 1), prime)
    const expected = polynomial.reduceRight((sum, c) => (sum * x + c) % prime, 0n)
    t.equal(values[b], expected)
  }
})

t.test('decoding an embedding returns its slots', async (t) => {
  const values = distinct(8)
  const c = embedPeriodic(values)
  let exponent = 1
  for (let i = 0; i < 8; i++) {
    const slot = c.reduce((sum, ck, k) => sum + ck * Math.cos((Math.PI * k * exponent) / 16), 0)
    t.ok(Math.abs(slot - values[i]) < 1e-12)
    exponent = (5 * exponent) % 32
  }
})

for (let period = 1; period <= 512; period *= 2) {
  t.test(
    `period ${period} agrees with node-seal's encoder up to the rounding of a coefficient`,
    async (t) => {
      const encoder = new PeriodicEncoder(parameters)
      const values = distinct(period)
      const full = new BigUint64Array(ring * parameters.primes.length)
      for (const [level, bits] of [
        [0, 30],
        [2, 10],
        [2, 45],
      ]) {
        const compact = encoder.encode(values, 2 ** bits, level)
        expandPlaintext(compact, full)
        const plaintext = fixture.encode(tile(values), 2 ** bits, level)
        const reference = residuesOf(plaintext, ring * (level + 1))
        plaintext.delete()
        for (let i = 0; i <= level; i++) {
          const ours = full.slice(i * ring, (i + 1) * ring)
          const theirs = reference.slice(i * ring, (i + 1) * ring)
          t.ok(
            theirs.every((value, j) => value === theirs[j - (j % compact.block)]),
            'the constant of node-seal is block-constant',
          )
          const prime = parameters.primes[i]
          const expected = coefficients(theirs, prime, 2 * period)
          const found = coefficients(ours, prime, 2 * period)
          const differences = found.map((c, k) => abs(c - expected[k]))
          t.ok(
            differences.every((d) => d <= 1n),
            `prime ${i}, scale 2^${bits}: differences ${differences}`,
          )
        }
      }
    },
  )
}

const abs = (n: bigint): bigint => (n < 0n ? -n : n)

t.test('coefficients beyond 2^53 are reduced exactly', async (t) => {
  const encoder = new PeriodicEncoder(parameters)
  const { residues } = encoder.encode(Float64Array.of(-0.3), 2 ** 60, 2)
  const integer = BigInt(-0.3 * 2 ** 60)
  parameters.primes.forEach((prime, i) => {
    t.equal(residues[2 * i], ((integer % prime) + prime) % prime)
    t.equal(residues[2 * i + 1], residues[2 * i])
  })
})

t.test('isZero is true for constants that round to zero', async (t) => {
  const encoder = new PeriodicEncoder(parameters)
  t.equal(encoder.encode(Float64Array.of(1e-4, -1e-4), 2 ** 10, 1).isZero, true)
  t.equal(encoder.encode(Float64Array.of(1e-3, 0), 2 ** 10, 1).isZero, false)
})
