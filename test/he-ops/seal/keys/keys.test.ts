import t from 'tap'
import { conjugationElement, galoisElement, rotationElements } from '../../../../src/circuit/keys.ts'
import { createSealContext } from '../../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../../src/he-ops/seal/encryptor.ts'
import { createSealEvaluator } from '../../../../src/he-ops/seal/evaluator.ts'
import {
  exportSecretKey,
  generateKeySet,
  generateSecretKey,
  importSecretKey,
  loadKeySet,
} from '../../../../src/he-ops/seal/keys/index.ts'
import { loadSeal } from '../../../../src/he-ops/seal/runtime.ts'
import {
  ciphertextFromWire,
  ciphertextToWire,
} from '../../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { bytesSource, keySetBytes } from '../../../../src/wire/index.ts'
import { collect, otherParameters, parameters } from '../../../wire/fixtures.ts'

const seal = await loadSeal()
const ctx = createSealContext(seal, parameters)
const secretKey = generateSecretKey(ctx)
const steps = [1, 4095, 130, 7]
const elements = rotationElements(parameters, steps)
const frame = await collect(generateKeySet(ctx, secretKey, elements))
const scale = 2 ** 30

/** A vector with another value in every slot. */
const slots = Float64Array.from({ length: 4096 }, (_, i) => Math.sin(i + 1) + i / 4096)

const maxError = (found: Float64Array, expected: (slot: number) => number): number =>
  found.reduce((most, value, slot) => Math.max(most, Math.abs(value - expected(slot))), 0)

t.teardown(() => {
  secretKey.delete()
  ctx.delete()
})

t.test('a key set has the announced size and elements', async (t) => {
  t.equal(frame.length, keySetBytes(parameters, elements))
  t.strictSame(
    elements,
    steps.map((s) => galoisElement(8192, s)).sort((a, b) => a - b),
  )
})

t.test('rotations with loaded keys move slots to the left by every step', async (t) => {
  const keys = await loadKeySet(ctx, bytesSource(frame), elements)
  const [pair] = encryptSlots(ctx, secretKey, [slots], 2, scale)
  const ciphertext = ciphertextFromWire(ctx, pair, 2, scale)
  const evaluator = new seal.Evaluator(ctx.context)
  for (const step of steps) {
    const rotated = new seal.Ciphertext()
    const [{ element, key }] = keys.galoisKeys.get(galoisElement(8192, step))!
    evaluator.applyGalois(ciphertext, element, key, rotated)
    const [{ real: found }] = decryptSlots(ctx, secretKey, [ciphertextToWire(ctx, rotated)], 2, scale)
    const error = maxError(found, (slot) => slots[(slot + step) % 4096])
    t.ok(error < 2 ** -8, `rotation by ${step}: error ${error}`)
    t.ok(
      maxError(found, (slot) => slots[(slot + step + 1) % 4096]) > 0.1,
      'the rotation is not by one more step',
    )
    rotated.delete()
  }
  evaluator.delete()
  ciphertext.delete()
  keys.delete()
})

t.test('conjugation with a loaded key conjugates every slot', async (t) => {
  const element = conjugationElement(8192)
  const withConjugation = await collect(generateKeySet(ctx, secretKey, [...elements, element]))
  const keys = await loadKeySet(ctx, bytesSource(withConjugation), [element])
  const complex = { real: slots, imaginary: slots.map((value) => 1 - value / 2) }
  const [pair] = encryptSlots(ctx, secretKey, [complex], 2, scale)
  const ciphertext = ciphertextFromWire(ctx, pair, 2, scale)
  const evaluator = createSealEvaluator(ctx, keys, { constants: [] })
  const conjugated = evaluator.conjugate(ciphertext)
  const [found] = decryptSlots(ctx, secretKey, [ciphertextToWire(ctx, conjugated)], 2, scale)
  t.ok(maxError(found.real, (slot) => complex.real[slot]) < 2 ** -8)
  t.ok(maxError(found.imaginary, (slot) => -complex.imaginary[slot]) < 2 ** -8)
  t.throws(() => evaluator.rotate(ciphertext, 7), { code: 'KEYS_MISSING' })
  keys.delete()
  const withoutConjugation = await loadKeySet(ctx, bytesSource(withConjugation), elements)
  const other = createSealEvaluator(ctx, withoutConjugation, { constants: [] })
  t.throws(() => other.conjugate(ciphertext), { code: 'KEYS_MISSING', facts: { galoisElements: [element] } })
  for (const object of [conjugated, ciphertext, evaluator, other, withoutConjugation]) object.delete()
})

t.test('the relinearisation key and the public key work', async (t) => {
  const keys = await loadKeySet(ctx, bytesSource(frame), [])
  t.equal(keys.galoisKeys.size, 0, 'only requested keys are loaded')
  t.equal(keys.bytes, (1 + 3) * 2 * 4 * 8192 * 8)
  const [pair] = encryptSlots(ctx, secretKey, [slots], 2, scale)
  const ciphertext = ciphertextFromWire(ctx, pair, 2, scale)
  const evaluator = new seal.Evaluator(ctx.context)
  const square = new seal.Ciphertext()
  evaluator.square(ciphertext, square)
  t.throws(() => ciphertextToWire(ctx, square), { code: 'INTERNAL', message: /3 polynomials/ })
  evaluator.relinearizeInplace(square, keys.relinKeys)
  const encryptor = new seal.Encryptor(ctx.context, keys.publicKey)
  const zero = new seal.Ciphertext()
  encryptor.encryptZero(zero)
  zero.setScale(square.scale())
  evaluator.addInplace(square, zero)
  const [{ real: found }] = decryptSlots(ctx, secretKey, [ciphertextToWire(ctx, square)], 2, scale ** 2)
  const error = maxError(found, (slot) => slots[slot] ** 2)
  t.ok(error < 2 ** -8, `error ${error}`)
  for (const object of [zero, encryptor, square, evaluator, ciphertext]) object.delete()
  keys.delete()
})

t.test('errors name missing keys', async (t) => {
  await t.rejects(loadKeySet(ctx, bytesSource(frame), rotationElements(parameters, [1, 2, 130, 3])), {
    code: 'KEYS_MISSING',
    facts: { galoisElements: [25, 125] },
  })
})

t.test('damaged keys and keys of other parameters are refused before node-seal reads them', async (t) => {
  const other = createSealContext(seal, otherParameters)
  await t.rejects(loadKeySet(other, bytesSource(frame), elements), { code: 'PARAMETERS_MISMATCH' })
  t.throws(() => importSecretKey(other, exportSecretKey(ctx, secretKey)), { code: 'PARAMETERS_MISMATCH' })
  other.delete()
  const damaged = Uint8Array.from(frame)
  damaged[frame.length >> 1] ^= 1
  await t.rejects(loadKeySet(ctx, bytesSource(damaged), elements), { code: 'TENSOR_MALFORMED' })
})

t.test('an exported secret key decrypts what the original encrypted', async (t) => {
  const exported = exportSecretKey(ctx, secretKey)
  const imported = importSecretKey(ctx, exported)
  t.ok(Buffer.from(exportSecretKey(ctx, imported)).equals(exported))
  const [{ real: found }] = decryptSlots(
    ctx,
    imported,
    encryptSlots(ctx, secretKey, [slots], 1, scale),
    1,
    scale,
  )
  t.ok(maxError(found, (slot) => slots[slot]) < 2 ** -8)
  const stranger = generateSecretKey(ctx)
  t.notOk(Buffer.from(exportSecretKey(ctx, stranger)).equals(exported))
  const [{ real: garbage }] = decryptSlots(
    ctx,
    stranger,
    encryptSlots(ctx, secretKey, [slots], 1, scale),
    1,
    scale,
  )
  t.ok(maxError(garbage, (slot) => slots[slot]) > 1000, 'another key does not decrypt it')
  stranger.delete()
  imported.delete()
})

t.test('abandoning the generator frees its memory', async (t) => {
  const chunks = generateKeySet(ctx, secretKey, elements)
  t.equal((await chunks.next()).value?.length, 48)
  await chunks.return()
  t.strictSame(await chunks.next(), { done: true, value: undefined })
})
