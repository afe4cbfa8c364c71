import t from 'tap'
import { invert } from '../../../src/circuit/parameters/primes.ts'
import { decodePeriodic, periodicPart } from '../../../src/he-ops/encoding/decode-periodic.ts'
import { createNtt, forwardNtt, inverseNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'
import { residuesOf, sealFixture, smallParameters } from '../seal/fixture.ts'

const parameters = smallParameters([50, 40, 30])
const { ring, slots } = parameters
const fixture = await sealFixture(parameters, [])
t.teardown(() => fixture.delete())
const SCALE = 2 ** 30

/** Residues of a plaintext that node-seal has encoded. */
function encoded(values: Float64Array, level: number): BigUint64Array {
  const plaintext = fixture.encode(values, SCALE, level)
  const residues = residuesOf(plaintext, ring * (level + 1))
  plaintext.delete()
  return residues
}

const distance = (a: Float64Array, b: ArrayLike<number>): number =>
  a.reduce((most, value, k) => Math.max(most, Math.abs(value - b[k])), 0)

t.test('plaintexts of node-seal are decoded, for every period and level', async (t) => {
  for (const period of [1, 2, 8, 64, slots]) {
    for (const level of [0, 2]) {
      const values = Float64Array.from({ length: period }, (_, k) => Math.cos(k * k + 1) * 50)
      const residues = encoded(
        Float64Array.from({ length: slots }, (_, s) => values[s % period]),
        level,
      )
      const { real, imaginary } = decodePeriodic(parameters, residues, level, SCALE, period)
      t.ok(distance(real, values) < 1e-5, `period ${period}, level ${level}`)
      t.ok(distance(imaginary, new Float64Array(period)) < 1e-5)
    }
  }
})

t.test('only the mean of the copies is decoded: parts that do not repeat have no influence', async (t) => {
  const values = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1) + (s % 4))
  const { real } = decodePeriodic(parameters, encoded(values, 1), 1, SCALE, 4)
  t.ok(distance(real, periodicPart({ real: values, imaginary: values }, 4).real) < 1e-5)
  t.ok(distance(real, [0, 1, 2, 3]) < 0.01)
})

t.test('an imaginary part is decoded: i times the message is X^(N / 2) times the polynomial', async (t) => {
  const period = 8
  const values = Float64Array.from({ length: period }, (_, k) => k - 2.5)
  const residues = encoded(
    Float64Array.from({ length: slots }, (_, s) => values[s % period]),
    0,
  )
  const [prime] = parameters.primes
  const ntt = createNtt(ring, minimalRoot(ring, prime), prime)
  const monomial = new Array<bigint>(ring).fill(0n)
  monomial[ring / 2] = 1n
  forwardNtt(ntt, monomial)
  const times = residues.map((residue, b) => (residue * monomial[b]) % prime)
  const { real, imaginary } = decodePeriodic(parameters, times, 0, SCALE, period)
  t.ok(distance(real, new Float64Array(period)) < 1e-5)
  t.ok(
    distance(imaginary.map(Math.abs), values.map(Math.abs)) < 1e-5,
    'the values agree up to the sign of the root in each slot',
  )
})

t.test('the inverse transform undoes the transform', async (t) => {
  const [prime] = parameters.primes
  for (const size of [2, 8, 256]) {
    let root = minimalRoot(ring, prime)
    for (let n = size; n < ring; n *= 2) root = (root * root) % prime
    const values = Array.from({ length: size }, (_, k) => BigInt(k * k + 3) % prime)
    const copy = [...values]
    forwardNtt(createNtt(size, root, prime), copy)
    t.notSame(copy, values)
    inverseNtt(createNtt(size, invert(root, prime), prime), copy)
    t.strictSame(copy, values)
  }
})
