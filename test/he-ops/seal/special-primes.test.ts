import type { Ciphertext } from 'node-seal'
import t from 'tap'
import { floodingBound } from '../../../src/circuit/flooding-bound.ts'
import { rotationElements } from '../../../src/circuit/keys.ts'
import { freshFlooding } from '../../../src/he-ops/flooding.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../src/he-ops/seal/encryptor.ts'
import { createSealEvaluator } from '../../../src/he-ops/seal/evaluator.ts'
import {
  exportSecretKey,
  generateNativeKeys,
  generateSecretKey,
  importSecretKey,
} from '../../../src/he-ops/seal/keys/index.ts'
import { rerandomise } from '../../../src/he-ops/seal/rerandomise.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { ciphertextFromWire, ciphertextToWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { smallParameters } from './fixture.ts'

// With several special primes all operations except those with hybrid keys work on node-seal, at our levels.
// SEAL's levels above them are unused.

const parameters = smallParameters([30, 29, 28, 27], 30, 30, 30)
const { ring, slots, topLevel } = parameters
const seal = await loadSeal()
const ctx = createSealContext(seal, parameters)
const secretKey = generateSecretKey(ctx)
const STEPS = [1, 2, 4095]
// There is room for only one Galois key.
const keys = generateNativeKeys(ctx, secretKey, rotationElements(parameters, STEPS), { maxBytes: 1 })
t.teardown(() => {
  for (const object of [keys, secretKey, ctx]) object.delete()
})

const SCALE = 2 ** 24
const x = Float64Array.from({ length: slots }, (_, i) => Math.sin(i * i + 1))

const largestError = (found: Float64Array, expected: (s: number) => number): number =>
  found.reduce((most, value, s) => Math.max(most, Math.abs(value - expected(s))), 0)

const rmsError = (found: Float64Array, expected: (s: number) => number): number =>
  Math.sqrt(found.reduce((sum, value, s) => sum + (value - expected(s)) ** 2, 0) / slots)

function encrypt(level: number, scale = SCALE): Ciphertext {
  const [pair] = encryptSlots(ctx, secretKey, [x], level, scale)
  return ciphertextFromWire(ctx, pair, level, scale)
}

/** Decrypts and frees. */
function decrypt(ciphertext: Ciphertext): Float64Array {
  const level = ciphertext.coeffModulusSize() - 1
  const [{ real: found }] = decryptSlots(
    ctx,
    secretKey,
    [ciphertextToWire(ctx, ciphertext)],
    level,
    ciphertext.scale(),
  )
  ciphertext.delete()
  return found
}

t.test("level l has l + 1 primes, and SEAL's further levels lie above", async (t) => {
  t.equal(ctx.levelIds.length, 4)
  t.equal(ctx.highestLevel, 5)
  for (let level = 0; level <= topLevel; level++) {
    const data = ctx.context.getContextData(ctx.levelIds[level])
    t.equal(data.chainIndex(), level)
    data.delete()
  }
})

t.test('encryption, re-randomising and decryption at every level', async (t) => {
  const all = { stride: 1, count: parameters.ring }
  for (let level = 0; level <= topLevel; level++) {
    const bound = floodingBound(parameters, { level, scale: SCALE, flooding: 1e-3 }, all)
    const flooding = freshFlooding(all.count, bound)
    const ciphertext = encrypt(level)
    const fresh = rerandomise(ctx, keys.publicKey, ciphertext, flooding)
    t.notOk(
      Buffer.from(ciphertextToWire(ctx, fresh).c1.buffer).equals(
        Buffer.from(ciphertextToWire(ctx, ciphertext).c1.buffer),
      ),
    )
    t.equal(fresh.coeffModulusSize(), level + 1)
    const error = largestError(decrypt(ciphertext), (s) => x[s])
    t.ok(error < 1e-4, `level ${level}: error ${error}`)
    const flooded = largestError(decrypt(fresh), (s) => x[s])
    t.ok(flooded < 1e-2 && flooded > 1e-3, `level ${level}: error ${flooded} with flooding`)
  }
})

t.test('the secret key survives its frame', async (t) => {
  const imported = importSecretKey(ctx, exportSecretKey(ctx, secretKey))
  const [{ real: found }] = decryptSlots(ctx, imported, encryptSlots(ctx, secretKey, [x], 1, SCALE), 1, SCALE)
  t.ok(largestError(found, (s) => x[s]) < 1e-4)
  imported.delete()
})

t.test("the evaluator computes with SEAL's own keys, and makes dropped keys again", async (t) => {
  const weights = [Float64Array.of(0.5, -1.5), Float64Array.from(x, (value) => value / 2)]
  const evaluator = createSealEvaluator(ctx, keys, { constants: weights })
  for (let round = 0; round < 2; round++) {
    for (const steps of STEPS) {
      const a = encrypt(topLevel)
      const rotated = evaluator.rotate(a, steps)
      a.delete()
      // A few slots have much more than the typical noise, because SEAL's digits are as large as its special
      // prime.
      const error = rmsError(decrypt(rotated), (s) => x[(s + steps) % slots])
      t.ok(error < 5e-3, `rotation by ${steps}: error ${error}`)
    }
  }
  const a = encrypt(topLevel)
  for (const [constant, values] of weights.entries()) {
    const product = evaluator.dot([{ ciphertext: a, constant }], 2 ** 28)
    const rescaled = evaluator.rescale(product)
    t.equal(rescaled.coeffModulusSize(), topLevel)
    t.ok(largestError(decrypt(rescaled), (s) => x[s] * values[s % values.length]) < 1e-3, 'dot, rescale')
    product.delete()
  }
  const square = evaluator.multiply(a, a)
  const relinearised = evaluator.relinearise(square)
  const dropped = evaluator.dropLevel(relinearised, 2)
  t.ok(largestError(decrypt(dropped), (s) => x[s] ** 2) < 1e-3, 'multiply, relinearise, drop')
  t.throws(() => evaluator.rotate(a, 3), { code: 'KEYS_MISSING', facts: { galoisElements: [125] } })
  for (const object of [relinearised, square, a, evaluator]) object.delete()
})

t.test('native keys state the heap that they take', async (t) => {
  const digits = 6
  const primes = 7
  t.equal(keys.bytes, (1 + (1 + 1) * digits) * 2 * primes * ring * 8)
  t.equal(keys.galoisKeys.size, STEPS.length)
})
