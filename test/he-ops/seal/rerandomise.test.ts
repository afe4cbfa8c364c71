import type { Ciphertext } from 'node-seal'
import t from 'tap'
import { floodingBound } from '../../../src/circuit/flooding-bound.ts'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { freshFlooding } from '../../../src/he-ops/flooding.ts'
import { decryptPeriodic } from '../../../src/he-ops/seal/encryptor.ts'
import { createSealEvaluator } from '../../../src/he-ops/seal/evaluator.ts'
import { rerandomise } from '../../../src/he-ops/seal/rerandomise.ts'
import { ciphertextToWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { mod, transforms } from './exact.ts'
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

/** The share of residues modulo q_0 for which w = c1_out / c1_in equals the encoded weights. */
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

t.test('weights can be read from the second polynomial, but not after re-randomising', async (t) => {
  const input = fixture.encrypt(message, SCALE, 2)
  const output = evaluator.dot([{ ciphertext: input, constant: 0 }], 2 ** 20)
  t.equal(recoveredShare(input, output), 1, 'the attack works without re-randomising')
  const fresh = rerandomise(fixture.ctx, fixture.keys.publicKey, output, new Float64Array(ring))
  t.equal(recoveredShare(input, fresh), 0, 'the attack fails after re-randomising')
  const again = rerandomise(fixture.ctx, fixture.keys.publicKey, output, new Float64Array(ring))
  t.notSame(second(fresh, 3).slice(0, 8), second(again, 3).slice(0, 8), 'each re-randomising differs')
  for (const ciphertext of [input, output, fresh, again]) ciphertext.delete()
})

for (const [level, flooding] of [
  [0, 1e-3],
  [1, 0.25],
  [2, 0],
] as const) {
  t.test(`the message stays within flooding noise of ${flooding} at level ${level}`, async (t) => {
    const input = fixture.encrypt(message, SCALE, level)
    const all = { stride: 1, count: ring }
    const bound = floodingBound(parameters, { level, scale: SCALE, flooding }, all)
    const integers = freshFlooding(ring, bound)
    const output = rerandomise(fixture.ctx, fixture.keys.publicKey, input, integers)
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

t.test('coefficients without logits are uniform, and logits are intact', async (t) => {
  const period = 8
  const level = 1
  const logits = Float64Array.from({ length: period }, (_, k) => 3 - k)
  const input = fixture.encrypt(
    Float64Array.from({ length: slots }, (_, s) => logits[s % period]),
    SCALE,
    level,
  )
  const outputs = [0, 1].map(() =>
    rerandomise(fixture.ctx, fixture.keys.publicKey, input, new Float64Array(2 * period)),
  )
  const [prime] = parameters.primes
  const { inverse } = transforms(ring, prime)
  const [own, ...seen] = [input, ...outputs].map((ciphertext) => {
    const { real, imaginary } = decryptPeriodic(
      fixture.ctx,
      fixture.secretKey,
      ciphertextToWire(fixture.ctx, ciphertext),
      level,
      SCALE,
      period,
    )
    t.ok(
      real.every((value, k) => Math.abs(value - logits[k]) < 1e-5),
      'the logits are correct',
    )
    t.ok(
      imaginary.every((value) => Math.abs(value) < 1e-5),
      'the logits are real',
    )
    const plaintext = new fixture.ctx.seal.Plaintext()
    const decryptor = new fixture.ctx.seal.Decryptor(fixture.ctx.context, fixture.secretKey)
    decryptor.decrypt(ciphertext, plaintext)
    const values = inverse(Array.from(residuesOf(plaintext, 2 * ring).subarray(0, ring)))
    for (const object of [plaintext, decryptor]) object.delete()
    return values
  })
  const isMasked = (k: number): boolean => k % (ring / (2 * period)) !== 0
  /** The chi-squared statistic of 32 cells of equal probability. */
  const chiSquared = (values: readonly bigint[]): number => {
    const cells = new Array<number>(32).fill(0)
    values.forEach((value, k) => {
      if (isMasked(k)) cells[Number((mod(value, prime) * 32n) / prime)]++
    })
    const expected = (ring - 2 * period) / 32
    return cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
  }
  // The mean is 31, the standard deviation 7.9.
  for (const values of seen) t.ok(chiSquared(values) < 31 + 7 * 7.9)
  const difference = seen[0].map((value, k) => value - seen[1][k])
  t.ok(chiSquared(difference) < 31 + 7 * 7.9, 'masks are independent')
  t.ok(chiSquared(own) > 1e4, 'positive control: an unmasked ciphertext fails the test')
  for (const ciphertext of [input, ...outputs]) ciphertext.delete()
})

t.test('flooding that would wrap is refused', async (t) => {
  const all = { stride: 1, count: ring }
  const bound = (flooding: number) => floodingBound(parameters, { level: 0, scale: SCALE, flooding }, all)
  t.throws(() => bound(1e9), { code: 'LEVEL_EXHAUSTED', facts: { level: 0 } })
  t.throws(() => bound(Number.NaN), { code: 'LEVEL_EXHAUSTED' })
})

t.test('an unrelinearised product is refused', async (t) => {
  const input = fixture.encrypt(message, SCALE, 2)
  const product = evaluator.multiply(input, input)
  t.throws(() => rerandomise(fixture.ctx, fixture.keys.publicKey, product, new Float64Array(ring)), {
    code: 'INTERNAL',
  })
  input.delete()
  product.delete()
})
