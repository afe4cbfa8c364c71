import type { Ciphertext } from 'node-seal'
import t from 'tap'
import {
  coefficientDeviation,
  complexEncodingNoise,
  encodingNoise,
  keySwitchingNoise,
  publicEncryptionNoise,
  roundingNoise,
  slotDeviation,
  symmetricEncryptionNoise,
} from '../../src/he-ops/noise.ts'
import { createSealEvaluator } from '../../src/he-ops/seal/evaluator.ts'
import { sealFixture, smallParameters } from './seal/fixture.ts'

const parameters = smallParameters([40, 40, 30, 30], 40)
const { slots } = parameters
const fixture = await sealFixture(parameters, [2])
t.teardown(() => fixture.delete())

const numbers = (length: number, salt = 1): Float64Array =>
  Float64Array.from({ length }, (_, i) => Math.sin(i * i + salt) / 3)
const constants = [1, 16, 512, slots].map((length) => numbers(length))
const complexConstants = [16, 512, slots].map((length) => ({
  real: numbers(length),
  imaginary: numbers(length, 2),
}))
const evaluator = createSealEvaluator(fixture.ctx, fixture.keys, {
  constants: [...constants, ...complexConstants],
})
t.teardown(() => evaluator.delete())

// The message is zero, so that the decrypted values are noise, in units of 1 / scale.
const SCALE = 2 ** 30
const zeros = new Float64Array(slots)

const rms = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)

const measured = (ciphertext: Ciphertext, free = true): number => {
  const deviation = rms(fixture.decrypt(ciphertext)) * ciphertext.scale()
  if (free) ciphertext.delete()
  return deviation
}

/** The real and the imaginary parts of zeros, in units of 1 / scale. */
const noiseParts = (ciphertext: Ciphertext): Float64Array[] => {
  const { real, imaginary } = fixture.decryptComplex(ciphertext)
  return [real, imaginary].map((part) => part.map((value) => value * ciphertext.scale()))
}

const measuredParts = (ciphertext: Ciphertext): number[] => noiseParts(ciphertext).map(rms)

/**
 * Values of the slots where |zeta - 1| is not small: those of the powers of 5 that are at least 64 from 0,
 * modulo the 2N roots.
 */
function awayFromOne(values: Float64Array): Float64Array {
  let exponent = 1
  return values.filter(() => {
    const distance = Math.min(exponent, 4 * slots - exponent)
    exponent = (exponent * 5) % (4 * slots)
    return distance >= 64
  })
}

const isNear = (
  t: { ok(ok: boolean, message: string): void },
  found: number,
  expected: number,
  factor: number,
) => t.ok(found < expected * factor && found > expected / factor, `measured ${found}, formula ${expected}`)

t.test('slots and coefficients', async (t) => {
  t.equal(coefficientDeviation(parameters, slotDeviation(parameters, 3.5)), 3.5)
})

t.test('encryption under the secret key', async (t) => {
  isNear(t, measured(fixture.encrypt(zeros, SCALE, 3)), symmetricEncryptionNoise(parameters), 1.2)
})

t.test('encryption of complex slots has this noise in both parts, with the rounding of both', async (t) => {
  const values = { real: numbers(slots), imaginary: numbers(slots, 2) }
  const ciphertext = fixture.encrypt(values, SCALE, 3)
  const expected = Math.hypot(symmetricEncryptionNoise(parameters), complexEncodingNoise(slots))
  const { real, imaginary } = fixture.decryptComplex(ciphertext)
  isNear(t, rms(real.map((value, s) => value - values.real[s])) * SCALE, expected, 1.1)
  isNear(t, rms(imaginary.map((value, s) => value - values.imaginary[s])) * SCALE, expected, 1.1)
  ciphertext.delete()
})

t.test('encryption under the public key', async (t) => {
  isNear(t, measured(fixture.encryptZero(SCALE)), publicEncryptionNoise(parameters), 1.2)
})

/**
 * SEAL's digits have a mean: a quarter of the variance is alike in all slots, and three quarters are in the
 * few slots near zeta = 1, most of it in one (see `keySwitchingNoise`). That slot's noise is one random
 * number of a key, so the root mean square of a key can be far from the formula: 4 times it once in a million
 * keys.
 */
function isSwitchingNoise(
  t: { ok(ok: boolean, message: string): void },
  noise: Float64Array,
  expected: number,
): void {
  isNear(t, rms(awayFromOne(noise)), expected / 2, 1.15)
  isNear(t, rms(noise), expected, 4)
}

for (const level of [1, 3]) {
  t.test(`key switching at level ${level}`, async (t) => {
    const expected = keySwitchingNoise(parameters, level)
    const fresh = fixture.encrypt(zeros, SCALE, level)
    const withOwn = Math.hypot(expected, 2 * measured(fresh, false))
    const rotated = evaluator.rotate(fresh, 2)
    isSwitchingNoise(t, noiseParts(rotated)[0], withOwn)

    const conjugated = evaluator.conjugate(fresh)
    for (const part of noiseParts(conjugated)) isSwitchingNoise(t, part, withOwn)
    const turned = evaluator.timesI(fresh)
    const [real, imaginary] = measuredParts(fresh)
    t.strictSame(
      measuredParts(turned).map((deviation) => deviation.toPrecision(6)),
      [imaginary, real].map((deviation) => deviation.toPrecision(6)),
      'multiplication by i adds no noise',
    )
    conjugated.delete()
    turned.delete()

    // SEAL also decrypts three polynomials, so the noise of the product itself can be subtracted.
    const product = evaluator.multiply(fresh, fresh)
    const relinearised = evaluator.relinearise(product)
    const before = fixture.decrypt(product)
    const added = fixture.decrypt(relinearised).map((value, s) => value - before[s])
    const scale = relinearised.scale()
    isSwitchingNoise(
      t,
      added.map((value) => value * scale),
      expected,
    )
    for (const ciphertext of [fresh, rotated, product, relinearised]) ciphertext.delete()
  })
}

t.test('rescaling', async (t) => {
  const fresh = fixture.encrypt(zeros, SCALE, 2)
  isNear(t, measured(evaluator.rescale(fresh)), roundingNoise(parameters), 1.2)
  fresh.delete()
})

t.test('encoding', async (t) => {
  // A message of ones times a constant at a coarse scale, where the constant's rounding dominates.
  const ones = fixture.encrypt(new Float64Array(slots).fill(1), 2 ** 40, 3)
  const constantScale = 2 ** 12
  for (const [constant, values] of constants.entries()) {
    const product = evaluator.dot([{ ciphertext: ones, constant }], constantScale)
    const found = fixture.decrypt(product).map((value, s) => value - values[s % values.length])
    product.delete()
    if (values.length === 1) t.ok(rms(found) * constantScale < 0.5)
    else isNear(t, rms(found) * constantScale, encodingNoise(values.length), 1.5)
  }
  ones.delete()
})

t.test('encoding of complex constants', async (t) => {
  const ones = fixture.encrypt(new Float64Array(slots).fill(1), 2 ** 40, 3)
  const constantScale = 2 ** 12
  for (const [index, { real, imaginary }] of complexConstants.entries()) {
    const constant = constants.length + index
    const product = evaluator.dot([{ ciphertext: ones, constant }], constantScale)
    const found = fixture.decryptComplex(product)
    product.delete()
    for (const [part, values] of [
      [found.real, real],
      [found.imaginary, imaginary],
    ]) {
      const errors = part.map((value, s) => value - values[s % values.length])
      isNear(t, rms(errors) * constantScale, complexEncodingNoise(values.length), 1.5)
    }
  }
  ones.delete()
})

t.test('a complex weight on a complex value errs in each part as a real one on a real value', async (t) => {
  // Both parts of the value have the size of the real value above.
  const all = new Float64Array(slots).fill(1)
  const ones = fixture.encrypt({ real: all, imaginary: all }, 2 ** 40, 3)
  const constantScale = 2 ** 12
  const [, , { real, imaginary }] = complexConstants
  const product = evaluator.dot(
    [{ ciphertext: ones, constant: constants.length + complexConstants.length - 1 }],
    constantScale,
  )
  const found = fixture.decryptComplex(product)
  const inReal = found.real.map((value, s) => value - (real[s] - imaginary[s]))
  const inImaginary = found.imaginary.map((value, s) => value - (real[s] + imaginary[s]))
  for (const errors of [inReal, inImaginary]) {
    isNear(t, rms(errors) * constantScale, encodingNoise(slots), 1.1)
  }
  for (const ciphertext of [ones, product]) ciphertext.delete()
})
