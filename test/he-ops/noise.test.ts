import type { Ciphertext } from 'node-seal'
import t from 'tap'
import {
  coefficientDeviation,
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

const constants = [1, 16, 512, slots].map((length) =>
  Float64Array.from({ length }, (_, i) => Math.sin(i * i + 1) / 3),
)
const evaluator = createSealEvaluator(fixture.ctx, fixture.keys, { constants })
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

t.test('encryption under the public key', async (t) => {
  isNear(t, measured(fixture.encryptZero(SCALE)), publicEncryptionNoise(parameters), 1.2)
})

for (const level of [1, 3]) {
  t.test(`key switching at level ${level}`, async (t) => {
    const expected = keySwitchingNoise(parameters, level)
    const fresh = fixture.encrypt(zeros, SCALE, level)
    const own = measured(fresh, false)
    isNear(t, measured(evaluator.rotate(fresh, 2)), Math.hypot(expected, own), 2)

    // SEAL also decrypts three polynomials, so the noise of the product itself can be subtracted.
    const product = evaluator.multiply(fresh, fresh)
    const relinearised = evaluator.relinearise(product)
    const before = fixture.decrypt(product)
    const added = fixture.decrypt(relinearised).map((value, s) => value - before[s])
    isNear(t, rms(added) * relinearised.scale(), expected, 2)
    for (const ciphertext of [fresh, product, relinearised]) ciphertext.delete()
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
