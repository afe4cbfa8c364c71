import type { Ciphertext, Plaintext } from 'node-seal'
import t from 'tap'
import { galoisElement } from '../../../src/circuit/keys.ts'
import { createSealEvaluator } from '../../../src/he-ops/seal/evaluator.ts'
import { sealSlot } from '../../../src/he-ops/seal/slot-order.ts'
import { residuesOf, sealFixture, smallParameters } from './fixture.ts'

// Every operation gives the same residues as node-seal's own call.

const parameters = smallParameters([50, 40, 30])
const { ring, slots, topLevel } = parameters
const fixture = await sealFixture(parameters, [5, 6])
const { ctx, keys } = fixture
const native = new ctx.seal.Evaluator(ctx.context)

const SCALE = 2 ** 30
const x = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const y = Float64Array.from({ length: slots }, (_, s) => Math.cos(7 * s))
const constants = [Float64Array.of(-0.375), Float64Array.from({ length: slots }, (_, s) => Math.sin(s * s))]
const evaluator = createSealEvaluator(ctx, keys, { constants })
const a = fixture.encrypt(x, SCALE, topLevel)
const b = fixture.encrypt(y, SCALE, topLevel)
t.teardown(() => {
  for (const object of [a, b, evaluator, native, fixture]) object.delete()
})

const residues = (ciphertext: Ciphertext): BigUint64Array =>
  residuesOf(ciphertext, ciphertext.size() * ciphertext.coeffModulusSize() * ring)

function isExact(
  t: { same(a: unknown, b: unknown): unknown },
  found: Ciphertext,
  fill: (out: Ciphertext) => void,
): void {
  const expected = new ctx.seal.Ciphertext()
  fill(expected)
  t.same(residues(found), residues(expected))
  found.delete()
  expected.delete()
}

/** Runs `body` with a constant as node-seal itself encodes it. */
function withEncoded(id: number, scale: number, level: number, body: (plaintext: Plaintext) => void): void {
  const values = constants[id]
  const full = Float64Array.from({ length: slots }, (_, s) => values[s % values.length])
  const plaintext = fixture.encode(full, scale, level)
  body(plaintext)
  plaintext.delete()
}

t.test('add, subtract, multiply, square', async (t) => {
  isExact(t, evaluator.add(a, b), (out) => native.add(a, b, out))
  isExact(t, evaluator.subtract(a, b), (out) => native.sub(a, b, out))
  isExact(t, evaluator.multiply(a, b), (out) => native.multiply(a, b, out))
  isExact(t, evaluator.multiply(a, a), (out) => native.square(a, out))
})

t.test('a rotation by an even number of slots is a rotation of SEAL by another number', async (t) => {
  const element = galoisElement(ring, 6)
  const [{ key }] = keys.galoisKeys.get(element)!
  isExact(t, evaluator.rotate(a, 6), (out) => native.applyGalois(a, element, key, out))
  isExact(t, evaluator.rotate(a, 6), (out) => native.rotateVector(a, sealSlot(6, slots), key, out))
})

t.test('a rotation by an odd number of slots is a rotation of SEAL and a conjugation', async (t) => {
  const [rotation, conjugation] = keys.galoisKeys.get(galoisElement(ring, 5))!
  t.equal(conjugation.element, 2 * ring - 1)
  isExact(t, evaluator.rotate(a, 5), (out) => {
    native.rotateVector(a, sealSlot(5, slots), rotation.key, out)
    native.complexConjugateInplace(out, conjugation.key)
  })
})

t.test('relinearise, rescale, dropLevel', async (t) => {
  const product = evaluator.multiply(a, b)
  isExact(t, evaluator.relinearise(product), (out) => native.relinearize(product, keys.relinKeys, out))
  isExact(t, evaluator.rescale(a), (out) => native.rescaleToNext(a, out))
  isExact(t, evaluator.dropLevel(a, 0), (out) => native.cipherModSwitchTo(a, ctx.levelIds[0], out))
  product.delete()
})

t.test('plain sums and products take compact and full constants', async (t) => {
  for (const constant of constants.keys()) {
    // The second run uses the full constant that the first one kept.
    for (let use = 0; use < 2; use++) {
      withEncoded(constant, 2 ** 20, topLevel, (plaintext) =>
        isExact(t, evaluator.dot([{ ciphertext: a, constant }], 2 ** 20), (out) =>
          native.multiplyPlain(a, plaintext, out),
        ),
      )
    }
    const low = fixture.encrypt(y, SCALE, 1)
    withEncoded(constant, SCALE, 1, (plaintext) =>
      isExact(t, evaluator.addPlain(low, constant), (out) => native.addPlain(low, plaintext, out)),
    )
    low.delete()
  }
})

t.test('a constant cache of no bytes changes no result', async (t) => {
  const frugal = createSealEvaluator(ctx, keys, { constants }, { cacheBytes: 0 })
  for (let use = 0; use < 2; use++) {
    withEncoded(1, 2 ** 20, topLevel, (plaintext) =>
      isExact(t, frugal.dot([{ ciphertext: a, constant: 1 }], 2 ** 20), (out) =>
        native.multiplyPlain(a, plaintext, out),
      ),
    )
  }
  frugal.delete()
})

t.test('constants that do not fit their level are refused', async (t) => {
  const large = createSealEvaluator(ctx, keys, {
    constants: [Float64Array.of(2 ** 21), new Float64Array(slots).fill(2 ** 21)],
  })
  const low = fixture.encrypt(x, SCALE, 0)
  t.throws(() => large.addPlain(low, 0), { code: 'LEVEL_EXHAUSTED' })
  t.throws(() => large.addPlain(low, 1), { code: 'LEVEL_EXHAUSTED' })
  low.delete()
  large.delete()
})

t.test('an error names the missing key of a rotation or relinearisation', async (t) => {
  const bare = createSealEvaluator(ctx, undefined, { constants })
  t.throws(() => bare.rotate(a, 5), { code: 'KEYS_MISSING', facts: { galoisElements: [3125] } })
  const product = bare.multiply(a, b)
  t.throws(() => bare.relinearise(product), { code: 'KEYS_MISSING' })
  product.delete()
  bare.delete()
})

t.test('a dot product whose weights all round to zero is refused', async (t) => {
  const tiny = createSealEvaluator(ctx, keys, { constants: [Float64Array.of(1e-9)] })
  t.throws(() => tiny.dot([{ ciphertext: a, constant: 0 }], 2 ** 20), { code: 'CONFIG_INVALID' })
  tiny.delete()
})

t.test('errors contain the text of node-seal’s exceptions', async (t) => {
  const vanishing = createSealEvaluator(ctx, keys, { constants: [Float64Array.of(1), Float64Array.of(-1)] })
  const terms = [0, 1].map((constant) => ({ ciphertext: a, constant }))
  t.throws(() => vanishing.dot(terms, 2 ** 20), { code: 'INTERNAL', message: /transparent/ })
  vanishing.delete()
})
