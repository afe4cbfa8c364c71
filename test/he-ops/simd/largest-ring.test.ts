import t from 'tap'
import { conjugationElement, galoisElement } from '../../../src/circuit/keys.ts'
import { checkParameters, LARGEST_RING } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { ComplexVector, SlotVector } from '../../../src/circuit/types.ts'
import type { Evaluator } from '../../../src/he-ops/backend.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { sampleSecretKey } from '../../../src/he-ops/client/create.ts'
import { periodicPart } from '../../../src/he-ops/encoding/decode-periodic.ts'
import { complexSlotsOfPeriodic, embedPeriodicFast } from '../../../src/he-ops/encoding/embedding-fft.ts'
import { keySwitchingNoise, symmetricEncryptionNoise } from '../../../src/he-ops/noise.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { engineNameFor } from '../../../src/schedule/engine-name.ts'
import { areSmall, compareRaised, deviation } from '../../conformance/raise.ts'
import { kernelFixture } from '../../support/kernel-fixture.ts'
import type { SimdCiphertext } from '../../support/simd-evaluator.ts'

// The largest ring, which node-seal refuses: the simd evaluator against the clear one, with few primes.

const STEPS = 12_345
const SCALE = 2 ** 29
const found = nttPrimes(LARGEST_RING, [30, 30, 30, 30, 30]).map(String)
const parameters = checkParameters({
  ring: LARGEST_RING,
  primes: found.slice(0, 3),
  specialPrimes: found.slice(3),
  raiseLevel: 1,
})
const { slots, topLevel, primes } = parameters
const elements = [galoisElement(LARGEST_RING, STEPS), conjugationElement(LARGEST_RING)].sort((a, b) => a - b)

const vector = (at: (slot: number) => number): Float64Array =>
  Float64Array.from({ length: slots }, (_, s) => at(s))
/** Vectors in which all numbers differ. */
const x = { real: vector((s) => Math.sin(s + 1)), imaginary: vector((s) => Math.cos(s * s)) }
const y = { real: vector((s) => Math.cos(5 * s) - 0.25), imaginary: vector((s) => Math.sin(3 * s) / 2) }
const constants = [vector((s) => Math.sin(s * s + 2)), Float64Array.of(0.5, -1, 0.25, 1.5)]

const fixture = await kernelFixture(parameters, elements, constants)
t.teardown(() => fixture.delete())
const { evaluator, coefficientsOf } = fixture
const clear = createClearEvaluator({ parameters, constants }, { noise: 'none' })
const encrypt = (values: SlotVector, level: number): Promise<SimdCiphertext> =>
  fixture.encrypt(values, level, SCALE)
const decrypt = (a: SimdCiphertext): ComplexVector => complexSlotsOfPeriodic(coefficientsOf(a))

/** The largest difference of a slot's parts. */
const largestError = (a: ComplexVector, b: ComplexVector): number =>
  Math.max(...(['real', 'imaginary'] as const).map((part) => differenceOf(a[part], b[part])))

const differenceOf = (a: Float64Array, b: Float64Array): number =>
  a.reduce((most, value, s) => Math.max(most, Math.abs(value - b[s])), 0)

type Computation = <Ct>(on: Evaluator<Ct>, a: Ct, b: Ct) => Ct

const computations: Record<string, Computation> = {
  'an encryption': (_, a) => a,
  'a rotation': (on, a) => on.rotate(a, STEPS),
  'a conjugation': (on, a) => on.conjugate(a),
  'a product': (on, a, b) => on.rescale(on.relinearise(on.multiply(a, b))),
  'a rotated product, at a lower level': (on, a, b) =>
    on.rotate(on.rescale(on.relinearise(on.multiply(a, b))), STEPS),
  'a sum of products with constants': (on, a, b) =>
    on.rescale(
      on.dot(
        [
          { ciphertext: a, constant: 0 },
          { ciphertext: b, constant: 1 },
        ],
        SCALE,
      ),
    ),
}

for (const [what, compute] of Object.entries(computations)) {
  t.test(`ring 65536: ${what} is that of the clear evaluator`, async (t) => {
    const result = compute(evaluator, await encrypt(x, topLevel), await encrypt(y, topLevel))
    const expected = compute(clear, clear.encrypt(x, topLevel, SCALE), clear.encrypt(y, topLevel, SCALE))
    t.equal(result.level, clear.levelOf(expected))
    t.equal(result.scale, clear.scaleOf(expected))
    const slotsOf = clear.decrypt(expected)
    const decrypted = decrypt(result)
    const error = largestError(decrypted, slotsOf)
    t.ok(error < 2 ** -7, `a slot is off by ${error}`)
    const moved = { real: rotated(slotsOf.real), imaginary: rotated(slotsOf.imaginary) }
    t.ok(largestError(decrypted, moved) > 2 ** -2, 'slots in other places are noticed')
  })
}

const rotated = (values: Float64Array): Float64Array => values.map((_, s) => values[(s + 1) % slots])

t.test('ring 65536: the client decrypts the part of an answer that repeats', async (t) => {
  const period = 64
  const a = await encrypt(x, 1)
  const part = await fixture.key.decryptPeriodic(fixture.pairOf(a), 1, SCALE, period)
  const error = largestError(part, periodicPart(x, period))
  t.ok(error < 2 ** -12, `a slot is off by ${error}`)
})

t.test('ring 65536: raised coefficients get small multiples of the modulus', async (t) => {
  const raised = evaluator.raise(await encrypt(x, 1))
  t.equal(raised.level, topLevel)
  const modulus = Number(primes[0] * primes[1]) / SCALE
  const after = coefficientsOf(raised)
  const { multiples, error } = compareRaised(embedPeriodicFast(x), after, modulus)
  t.ok(error < 1e-4, `a coefficient is off by ${error}`)
  t.ok(areSmall(multiples))
  const spread = deviation(multiples)
  t.ok(Math.abs(spread / Math.sqrt(33 / 12) - 1) < 0.05, `deviation ${spread}`)
  const other = compareRaised(embedPeriodicFast(y), after, modulus)
  t.ok(other.error > 1e-3, 'another message is noticed')
})

t.test('ring 65536: key switching with ten special primes has the noise of its formula', async (t) => {
  // Digits of ten primes, the last one of two. Special primes of the size of the data primes show the digits'
  // noise, and larger ones the rounding's.
  for (const bits of [30, 28]) {
    const primes = nttPrimes(LARGEST_RING, [...Array(10).fill(30), ...Array(12).fill(bits)]).map(String)
    const many = checkParameters({
      ring: LARGEST_RING,
      primes: primes.slice(10),
      specialPrimes: primes.slice(0, 10),
    })
    const { evaluator, encrypt, coefficientsOf, ...rest } = await kernelFixture(many, elements)
    t.teardown(() => rest.delete())
    const zeros = await encrypt(Float64Array.of(0), many.topLevel, 1)
    const expected = Math.hypot(symmetricEncryptionNoise(many), keySwitchingNoise(many, many.topLevel))
    // The noise is far below two primes.
    const noise = coefficientsOf(evaluator.dropLevel(evaluator.rotate(zeros, STEPS), 1))
    const found = deviation([...noise]) * Math.sqrt(LARGEST_RING / 2)
    t.ok(Math.abs(found / expected - 1) < 0.05, `${bits} bits: ${found}, expected ${expected}`)
  }
})

t.test('ring 65536: node-seal is refused by client and server, with what takes the ring', async (t) => {
  const [prime, special] = nttPrimes(LARGEST_RING, [40, 41]).map(String)
  const large = checkParameters({ ring: LARGEST_RING, primes: [prime], specialPrimes: [special] })
  const refusal = {
    code: 'CONFIG_INVALID',
    message:
      /^node-seal takes rings up to 32768, not 65536; the simd engine does, with primes of at most 30 bits/,
  }
  await t.rejects(sampleSecretKey(large), refusal)
  t.throws(() => engineNameFor(large), refusal)
  const seal = await loadSeal()
  t.throws(() => createSealContext(seal, parameters), refusal)
})
