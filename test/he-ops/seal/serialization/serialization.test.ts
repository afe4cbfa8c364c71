import t from 'tap'
import { createSealContext } from '../../../../src/he-ops/seal/context.ts'
import { loadSeal, withHeap } from '../../../../src/he-ops/seal/runtime.ts'
import {
  ciphertextFromSeal,
  ciphertextToSeal,
  dataLevel,
  keyLevel,
  plaintextFromSeal,
  plaintextToSeal,
  seededFromSeal,
  switchingKeyToSeal,
} from '../../../../src/he-ops/seal/serialization/serialization.ts'
import type { SeededRlwe } from '../../../../src/wire/index.ts'
import { parameters } from '../../../wire/fixtures.ts'

const seal = await loadSeal()
const ctx = createSealContext(seal, parameters)
const none = seal.ComprModeType.none
const level = keyLevel(ctx)

// Our writer must reproduce the bytes of node-seal's writer.
const samples = withHeap((own) => {
  const generator = own(new seal.KeyGenerator(ctx.context))
  const secretKey = own(generator.secretKey())
  const publicKey = own(generator.createPublicKey())
  const plaintext = own(new seal.Plaintext())
  own(new seal.CKKSEncoder(ctx.context)).encode(Float64Array.of(1, -2, 3), 2 ** 20, plaintext)
  const ciphertext = own(new seal.Ciphertext())
  const encryptor = own(new seal.Encryptor(ctx.context, publicKey, secretKey))
  encryptor.encryptSymmetric(plaintext, ciphertext)
  const save = (object: { saveToArray(mode: typeof none): unknown }) => object.saveToArray(none) as Uint8Array
  return {
    secretKey: save(secretKey),
    publicKey: save(own(generator.createPublicKeySerializable())),
    relinKeys: save(own(generator.createRelinKeysSerializable())),
    galoisKeys: save(own(generator.createGaloisKeysSerializableWithSteps(Int32Array.of(2)))),
    ciphertext: save(ciphertext),
  }
})

t.teardown(() => ctx.delete())

const relin = { vectors: 1, vector: 0 }
const galois = { vectors: 8192, vector: 4 }

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b)

/**
 * The pairs of a seeded key of node-seal. Each is a Ciphertext of known length, with counts of vectors in
 * between.
 */
function pairsOf(key: Uint8Array, { vectors, vector }: typeof relin): SeededRlwe[] {
  const length = samples.publicKey.length
  const start = 16 + 32 + 8 + 8 * (vector + 1)
  t.equal(key.length, 16 + 32 + 8 + 8 * vectors + 3 * length)
  return [0, 1, 2].map((digit) =>
    seededFromSeal(level, key.subarray(start + digit * length, start + (digit + 1) * length)),
  )
}

t.test('objects read from node-seal are written byte for byte', async (t) => {
  const { secretKey, publicKey, relinKeys, galoisKeys, ciphertext } = samples
  t.strictSame(ciphertextToSeal(level, seededFromSeal(level, publicKey), 1), publicKey)
  t.strictSame(plaintextToSeal(level, plaintextFromSeal(level, secretKey), 1), secretKey)
  t.ok(isSame(switchingKeyToSeal(level, pairsOf(relinKeys, relin), relin), relinKeys))
  t.ok(isSame(switchingKeyToSeal(level, pairsOf(galoisKeys, galois), galois), galoisKeys))
  const top = dataLevel(ctx, 2)
  t.strictSame(ciphertextToSeal(top, ciphertextFromSeal(top, ciphertext), 2 ** 20), ciphertext)
})

t.test('any other structure is refused', async (t) => {
  const { publicKey, ciphertext, secretKey } = samples
  const refused = { code: 'INTERNAL', message: /another structure/ }
  const top = dataLevel(ctx, 2)
  t.throws(() => ciphertextFromSeal(dataLevel(ctx, 1), ciphertext), refused, 'another level')
  t.throws(() => seededFromSeal(top, ciphertext), refused, 'not seeded')
  t.throws(() => ciphertextFromSeal(level, publicKey), refused, 'seeded')
  for (const length of [0, 15, 16, 88, 5000, secretKey.length - 1]) {
    t.throws(() => plaintextFromSeal(level, secretKey.subarray(0, length)), refused, `${length} bytes`)
  }
  const longer = new Uint8Array(ciphertext.length + 1)
  longer.set(ciphertext)
  t.throws(() => ciphertextFromSeal(top, longer), refused, 'trailing byte')
  for (const at of [0, 2, 3, 5, 8, 20, 48, 49, 57, 65, 81, 89, 105]) {
    const copy = ciphertext.slice()
    copy[at] ^= 2
    t.throws(() => ciphertextFromSeal(top, copy), refused, `byte ${at}`)
  }
})
