import type { Ciphertext } from 'node-seal'
import t from 'tap'
import { powMod } from '../../../src/circuit/primes.ts'
import { createSealEvaluator } from '../../../src/he-ops/seal/evaluator.ts'
import { rerandomise } from '../../../src/he-ops/seal/rerandomise.ts'
import { residuesOf, sealFixture, smallParameters } from './fixture.ts'

const parameters = smallParameters([50, 40, 30])
const { ring, slots } = parameters
const fixture = await sealFixture(parameters, [])
t.teardown(() => fixture.delete())

const SCALE = 2 ** 30
const message = Float64Array.from({ length: slots }, (_, i) => Math.cos(i * i + 1))
const weights = Float64Array.from({ length: slots }, (_, i) => Math.sin(i + 1))
const evaluator = createSealEvaluator(fixture.ctx, fixture.keys, { constants: [weights] })
t.teardown(() => evaluator.delete())

const rms = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)

const difference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, s) => value - b[s])

/** The residues of a ciphertext's second polynomial. */
const second = (ciphertext: Ciphertext, primes: number): BigUint64Array =>
  residuesOf(ciphertext, ring * primes)

/** The share of w = c1_out / c1_in, residue by residue modulo q_0, that is the encoded weights exactly. */
function recoveredShare(input: Ciphertext, output: Ciphertext): number {
  const encoded = fixture.encode(weights, 2 ** 20, parameters.topLevel)
  const expected = residuesOf(encoded, ring * 3)
  encoded.delete()
  const [prime] = parameters.primes
  const before = second(input, 3)
  const after = second(output, 3)
  const samples = 512
  let recovered = 0
  for (let i = 0; i < samples; i++) {
    const j = i * (ring / samples)
    const weight = (after[j] * powMod(before[j], prime - 2n, prime)) % prime
    if (weight === expected[j]) recovered++
  }
  return recovered / samples
}

t.test('weights are read off the second polynomial, and not after re-randomising', async (t) => {
  const input = fixture.encrypt(message, SCALE, 2)
  const output = evaluator.dot([{ ciphertext: input, constant: 0 }], 2 ** 20)
  t.equal(recoveredShare(input, output), 1, 'the attack works')
  const fresh = rerandomise(fixture.ctx, fixture.keys.publicKey, output, { flooding: 0 })
  t.equal(recoveredShare(input, fresh), 0, 'the defence holds')
  const again = rerandomise(fixture.ctx, fixture.keys.publicKey, output, { flooding: 0 })
  t.notSame(second(fresh, 3).slice(0, 8), second(again, 3).slice(0, 8), 'each time anew')
  for (const ciphertext of [input, output, fresh, again]) ciphertext.delete()
})

for (const [level, flooding] of [
  [0, 1e-3],
  [1, 0.25],
  [2, 0],
] as const) {
  t.test(`the message stays, under flooding noise of ${flooding} at level ${level}`, async (t) => {
    const input = fixture.encrypt(message, SCALE, level)
    const output = rerandomise(fixture.ctx, fixture.keys.publicKey, input, { flooding })
    t.equal(output.scale(), SCALE)
    t.equal(output.coeffModulusSize(), level + 1)
    t.ok(rms(difference(fixture.decrypt(input), message)) < 1e-6, 'the input is unchanged')
    const noise = difference(fixture.decrypt(output), message)
    t.ok(Math.abs(rms(noise) / Math.max(flooding, 1.3e-6) - 1) < 0.1, `deviation ${rms(noise)}`)
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length
    t.ok(Math.abs(mean) < (6 * rms(noise)) / Math.sqrt(slots), `mean ${mean}`)
    input.delete()
    output.delete()
  })
}

t.test('flooding that would wrap is refused', async (t) => {
  const input = fixture.encrypt(message, SCALE, 0)
  t.throws(() => rerandomise(fixture.ctx, fixture.keys.publicKey, input, { flooding: 1e9 }), {
    code: 'LEVEL_EXHAUSTED',
    facts: { level: 0 },
  })
  t.throws(() => rerandomise(fixture.ctx, fixture.keys.publicKey, input, { flooding: Number.NaN }))
  input.delete()
})

t.test('an unrelinearised product is refused', async (t) => {
  const input = fixture.encrypt(message, SCALE, 2)
  const product = evaluator.multiply(input, input)
  t.throws(() => rerandomise(fixture.ctx, fixture.keys.publicKey, product, { flooding: 0 }), {
    code: 'INTERNAL',
  })
  input.delete()
  product.delete()
})
