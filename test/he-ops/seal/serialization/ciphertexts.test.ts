import t from 'tap'
import { createSealContext } from '../../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../../src/he-ops/seal/encryptor.ts'
import { generateSecretKey } from '../../../../src/he-ops/seal/keys/index.ts'
import { loadSeal } from '../../../../src/he-ops/seal/runtime.ts'
import {
  ciphertextFromWire,
  ciphertextToWire,
} from '../../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { decodeTensor, encodeTensor } from '../../../../src/wire/index.ts'
import { parameters } from '../../../wire/fixtures.ts'

const seal = await loadSeal()
const ctx = createSealContext(seal, parameters)
const secretKey = generateSecretKey(ctx)
const vectors = [0, 1, 2].map((k) =>
  Float64Array.from({ length: 4096 }, (_, i) => Math.cos(i * (k + 1)) - i / 9000),
)

t.teardown(() => {
  secretKey.delete()
  ctx.delete()
})

t.test('slots are intact after encryption, encoding and decryption at every level', async (t) => {
  for (const level of [0, 1, 2]) {
    const scale = 2 ** 26 * (1 + level / 7)
    const pairs = encryptSlots(ctx, secretKey, vectors, level, scale)
    const spec = { ciphertexts: 3, level, seeded: true, scale, manifestDigest: '12'.repeat(32) }
    const received = decodeTensor(parameters, spec, encodeTensor(parameters, spec, pairs))
    const found = decryptSlots(ctx, secretKey, received, level, scale)
    found.forEach(({ real: slots }, k) => {
      const error = slots.reduce((most, value, i) => Math.max(most, Math.abs(value - vectors[k][i])), 0)
      t.ok(error < 2 ** -12, `level ${level}, vector ${k}: error ${error}`)
    })
  }
})

t.test('node-seal expands the seed, and full ciphertexts keep every residue', async (t) => {
  const [pair] = encryptSlots(ctx, secretKey, vectors.slice(0, 1), 1, 2 ** 26)
  const ciphertext = ciphertextFromWire(ctx, pair, 1, 2 ** 26)
  t.equal(ciphertext.coeffModulusSize(), 2)
  t.equal(ciphertext.scale(), 2 ** 26)
  const wire = ciphertextToWire(ctx, ciphertext)
  t.strictSame(wire.c0, pair.c0)
  const again = ciphertextFromWire(ctx, wire, 1, 2 ** 26)
  t.strictSame(ciphertextToWire(ctx, again), wire)
  ciphertext.delete()
  again.delete()
})

t.test('two encryptions of one vector differ in both polynomials', async (t) => {
  const [a, b] = encryptSlots(ctx, secretKey, [vectors[0], vectors[0]], 0, 2 ** 26)
  t.notOk(a.c0.every((half, i) => half === b.c0[i]))
  t.notOk(a.seed.every((byte, i) => byte === b.seed[i]))
})

t.test('values that do not fit are refused, not wrapped', async (t) => {
  const encrypting = (value: number, level: number) => () =>
    encryptSlots(ctx, secretKey, [Float64Array.of(0, value)], level, 2 ** 30)
  t.throws(encrypting(2 ** 14.1, 0), { code: 'TENSOR_OUT_OF_RANGE' })
  t.doesNotThrow(encrypting(2 ** 13.9, 0))
  t.doesNotThrow(encrypting(2 ** 14.1, 1))
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(encrypting(value, 2), { code: 'TENSOR_OUT_OF_RANGE' })
  }
})
