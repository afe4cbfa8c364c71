import t from 'tap'
import type { ComplexVector } from '../../src/circuit/types.ts'
import { createClearEvaluator } from '../../src/he-ops/clear/evaluator.ts'
import { seededGaussian } from '../../src/he-ops/clear/gaussian.ts'
import { embedPeriodicFast } from '../../src/he-ops/encoding/embedding-fft.ts'
import { complexEncodingNoise, symmetricEncryptionNoise } from '../../src/he-ops/noise.ts'
import { parameters } from '../circuit/circuits.ts'

const { slots } = parameters
const values = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const circuit = { parameters, constants: [] }

const deviation = (numbers: Float64Array): number =>
  Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length)

/** Slots of one number: the polynomial's first coefficient has it, and the others are zero. */
const everywhere = (value: number): Float64Array => new Float64Array(slots).fill(value)

t.test('a value with a coefficient that would wrap is refused', async (t) => {
  const evaluator = createClearEvaluator(circuit)
  // Level 0 has 50 bits: at scale 2^40, coefficients below 2^9.
  evaluator.free(evaluator.encrypt(everywhere(511), 0, 2 ** 40))
  t.throws(() => evaluator.encrypt(everywhere(-513), 0, 2 ** 40), {
    code: 'TENSOR_OUT_OF_RANGE',
    facts: { largest: 513 },
  })
  t.throws(() => evaluator.encrypt([Number.NaN], 0, 2 ** 40), { code: 'TENSOR_OUT_OF_RANGE' })
  // A large slot alone makes no large coefficient.
  evaluator.free(evaluator.encrypt([0, 5000], 0, 2 ** 40))
  t.equal(evaluator.live, 0)
})

t.test('an overflow hook is called instead', async (t) => {
  const told: number[][] = []
  const evaluator = createClearEvaluator(circuit, { overflow: (...facts) => told.push(facts) })
  const large = evaluator.encrypt(everywhere(300), 0, 2 ** 40)
  evaluator.add(large, large)
  t.equal(told.length, 1)
  t.equal(told[0][0], 600)
  t.ok(Math.abs(told[0][1] - 512) < 0.01)
})

t.test('noise is reproducible by its seed and has the modelled deviation', async (t) => {
  const noise = (seed: number): Float64Array => {
    const evaluator = createClearEvaluator(circuit, { noise: 'model', seed })
    const { real } = evaluator.decrypt(evaluator.encrypt(values, 2, 2 ** 30))
    return real.map((v, s) => (v - values[s]) * 2 ** 30)
  }
  t.same(noise(5), noise(5))
  t.notSame(noise(5), noise(6))
  t.ok(Math.abs(deviation(noise(5)) / symmetricEncryptionNoise(parameters) - 1) < 0.1)
})

t.test('both parts have the modelled noise, and real parts do not depend on imaginary ones', async (t) => {
  const complex = { real: values, imaginary: values.map((value) => value / 2) }
  const evaluator = createClearEvaluator(circuit, { noise: 'model', seed: 5 })
  const found = evaluator.decrypt(evaluator.encrypt(complex, 2, 2 ** 30))
  const errors = [
    found.real.map((v, s) => (v - complex.real[s]) * 2 ** 30),
    found.imaginary.map((v, s) => (v - complex.imaginary[s]) * 2 ** 30),
  ]
  for (const part of errors) {
    const expected = Math.hypot(symmetricEncryptionNoise(parameters), complexEncodingNoise(slots))
    t.ok(Math.abs(deviation(part) / expected - 1) < 0.1)
  }
  const correlation = errors[0].reduce((sum, error, s) => sum + error * errors[1][s], 0) / slots
  t.ok(Math.abs(correlation) < 0.1 * deviation(errors[0]) ** 2, 'the parts are independent')
  const real = createClearEvaluator(circuit, { noise: 'model', seed: 5 })
  const ofReal = real.decrypt(real.encrypt(values, 2, 2 ** 30))
  t.ok(deviation(ofReal.imaginary) > 0, 'an encrypted real vector has imaginary noise')
})

t.test('values without imaginary parts stay real vectors', async (t) => {
  const evaluator = createClearEvaluator({ parameters, constants: [Float64Array.of(0.5, 2)] })
  const a = evaluator.encrypt(values, 2, 2 ** 30)
  const sum = evaluator.dot([{ ciphertext: evaluator.conjugate(a), constant: 0 }], 2 ** 10)
  t.ok(sum.slots instanceof Float64Array)
  t.notOk(evaluator.timesI(a).slots instanceof Float64Array)
})

t.test('the coefficients of both parts of complex slots decide whether it wraps', async (t) => {
  const evaluator = createClearEvaluator(circuit)
  const both = (real: number, imaginary: number): ComplexVector => ({
    real: everywhere(real),
    imaginary: everywhere(imaginary),
  })
  evaluator.free(evaluator.encrypt(both(500, -500), 0, 2 ** 40))
  t.throws(() => evaluator.encrypt(both(10, -513), 0, 2 ** 40), { code: 'TENSOR_OUT_OF_RANGE' })
})

t.test('without noise a value is exact', async (t) => {
  const evaluator = createClearEvaluator(circuit)
  const { real, imaginary } = evaluator.decrypt(evaluator.encrypt(values, 2, 2 ** 30))
  t.same(real, values)
  t.same(imaginary, new Float64Array(slots))
})

t.test('a freed value cannot be used', async (t) => {
  const evaluator = createClearEvaluator(circuit)
  const a = evaluator.encrypt(values, 2, 2 ** 30)
  evaluator.free(a)
  t.throws(() => evaluator.rotate(a, 1), { code: 'INTERNAL' })
  t.throws(() => evaluator.free(a), { code: 'INTERNAL' })
})

t.test('the generator is normally distributed', async (t) => {
  const gaussian = seededGaussian(42)
  const draws = Float64Array.from({ length: 100_000 }, gaussian)
  t.ok(Math.abs(draws.reduce((sum, x) => sum + x, 0) / draws.length) < 0.015)
  t.ok(Math.abs(deviation(draws) - 1) < 0.01)
  const beyond = (limit: number): number => draws.filter((x) => Math.abs(x) > limit).length / draws.length
  t.ok(Math.abs(beyond(1) - 0.3173) < 0.01)
  t.ok(Math.abs(beyond(2) - 0.0455) < 0.004)
})

t.test('a raised value has its message, reduced modulo Q, and few multiples of Q', async (t) => {
  const evaluator = createClearEvaluator(circuit)
  const scale = 2 ** 30
  const modulus = Number(parameters.primes[0]) / scale
  const low = evaluator.encrypt(values, 0, scale)
  const raised = evaluator.raise(low)
  t.equal(evaluator.levelOf(raised), parameters.topLevel)
  t.equal(evaluator.scaleOf(raised), scale)
  const before = embedPeriodicFast(values)
  const after = embedPeriodicFast(evaluator.decrypt(raised))
  const multiples = after.map((coefficient, k) => (coefficient - before[k]) / modulus)
  t.ok(multiples.every((multiple) => Math.abs(multiple - Math.round(multiple)) < 1e-9))
  const spread = deviation(multiples)
  t.ok(Math.abs(spread / Math.sqrt(33 / 12) - 1) < 0.03, `deviation ${spread}`)
})
