import t from 'tap'
import { ciphertextFromWire, ciphertextToWire } from '../../../src/he-ops/seal/ciphertexts.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../src/he-ops/seal/encryptor.ts'
import { generateSecretKey } from '../../../src/he-ops/seal/keys.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys-secret.ts'
import { RestrictedContexts } from '../../../src/he-ops/seal/restricted-contexts.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import { ERROR_BOUND } from '../../../src/he-ops/simd/encryption/symmetric-encryptor.ts'
import { levelShape, type PackedRlwe, type SeededRlwe } from '../../../src/wire/index.ts'
import { readRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import { mod, secretResidues, transforms } from '../seal/exact.ts'
import { residuesOf, smallParameters } from '../seal/fixture.ts'

// Encryptions by the kernels against node-seal, which decrypts them.

const parameters = smallParameters([28, 30, 30, 27], 30, 30)
const { ring, primes, topLevel } = parameters
const ctx = createSealContext(await loadSeal(), parameters)
const secretKey = generateSecretKey(ctx)
const contexts = new RestrictedContexts(ctx.seal, parameters)
const secrets = secretResidues(ctx, secretKey)
const key = await KernelKey.create(contexts, secretPolynomial(ctx, secretKey))
t.teardown(() => {
  key.delete()
  secretKey.delete()
  contexts.delete()
  ctx.delete()
})

const SCALE = 2 ** 30
/** Distinct in every slot. */
const slots = Float64Array.from({ length: ring / 2 }, (_, i) => Math.sin(i + 1) + i / ring)

/** As it comes out of a frame. */
function seeded(pair: PackedRlwe, level: number): SeededRlwe {
  const shape = levelShape(parameters, level)
  const bytes = new Uint8Array(rlweBytes(shape, true))
  writeRlwe(shape, pair, bytes)
  return readRlwe(shape, bytes, true) as SeededRlwe
}

/** Coefficients of c0 + c1 * s - message modulo each prime of a level. */
function phases(pair: SeededRlwe, level: number, message: Uint32Array): number[][] {
  const ciphertext = ciphertextFromWire(ctx, pair, level, 1)
  const both = residuesOf(ciphertext, 2 * ring * (level + 1))
  ciphertext.delete()
  return primes.slice(0, level + 1).map((prime, i) => {
    const phase = secrets(i).map((value, b) => {
      const at = i * ring + b
      return mod(both[at] + both[(level + 1) * ring + at] * value - BigInt(message[at]), prime)
    })
    return transforms(ring, prime).inverse(phase).map(Number)
  })
}

const rms = (values: ArrayLike<number>): number =>
  Math.sqrt(
    Array.from(values, (value) => value * value).reduce((sum, square) => sum + square, 0) / values.length,
  )

t.test('slots at every level, as node-seal encrypts them', async (t) => {
  for (let level = 1; level <= topLevel; level++) {
    const [pair] = key.encryptSlots([slots], level, SCALE)
    t.equal(pair.limbs.length, level + 1)
    const errorsOf = (made: SeededRlwe): number =>
      rms(decryptSlots(ctx, secretKey, [made], level, SCALE)[0].map((value, s) => value - slots[s]))
    const found = errorsOf(seeded(pair, level))
    const usual = errorsOf(encryptSlots(ctx, secretKey, [slots], level, SCALE)[0])
    t.ok(Math.abs(found / usual - 1) < 0.1, `level ${level}: error ${found}, node-seal's ${usual}`)
  }
})

t.test('several vectors, shorter ones and none', async (t) => {
  const vectors = [slots.subarray(0, 5), new Float64Array(0), Float64Array.of(-3.5)]
  const pairs = key.encryptSlots(vectors, 2, SCALE).map((pair) => seeded(pair, 2))
  const found = decryptSlots(ctx, secretKey, pairs, 2, SCALE)
  vectors.forEach((vector, v) => {
    t.ok(found[v].every((value, s) => Math.abs(value - (vector[s] ?? 0)) < 1e-5))
  })
  const seeds = new Set(pairs.map(({ seed }) => Buffer.from(seed).toString('hex')))
  t.equal(seeds.size, 3)
})

t.test('what does not fit is refused, and the key works on', async (t) => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40]) {
    t.throws(() => key.encryptSlots([Float64Array.of(value)], 1, SCALE), { code: 'TENSOR_OUT_OF_RANGE' })
  }
  t.throws(() => key.encryptSlots([Float64Array.of(1)], 0, SCALE), { code: 'TENSOR_OUT_OF_RANGE' })
  t.equal(key.encryptSlots([Float64Array.of(1)], 1, SCALE).length, 1)
})

t.test('a refresh keeps integers to the last bit, but for the errors of two encryptions', async (t) => {
  const [from, to] = [1, topLevel]
  // Anything within a quarter of the modulus; alike in no two coefficients.
  const integers = Array.from(
    { length: ring },
    (_, k) => (BigInt(k) * 48271n - 2n ** 27n) * 2n ** 20n + BigInt(k % 97),
  )
  const residues = (level: number): Uint32Array =>
    Uint32Array.from(
      primes.slice(0, level + 1).flatMap((prime) => transforms(ring, prime).forward(integers).map(Number)),
    )
  for (let round = 0; round < 2; round++) {
    const [masked] = key.encryptResidues([residues(from)], from)
    const ciphertext = ciphertextFromWire(ctx, seeded(masked, from), from, 1)
    const full = ciphertextToWire(ctx, ciphertext)
    ciphertext.delete()
    const [fresh] = key.refresh([full], from, to)
    t.equal(fresh.limbs.length, to + 1)
    const errors = phases(seeded(fresh, to), to, residues(to))
    t.ok(errors[0].every((e) => Math.abs(e) <= 2 * ERROR_BOUND) && rms(errors[0]) > 4)
    for (const error of errors.slice(1)) t.ok(error.every((e, k) => e === errors[0][k]))
  }
})

t.test('residues are encrypted exactly', async (t) => {
  const used = key.context.heap.used
  const level = topLevel
  const message = Uint32Array.from(
    primes.flatMap((prime, i) =>
      Array.from({ length: ring }, (_, b) => Number((BigInt(b * 7919 + i) * 0x9e3779b97f4a7c15n) % prime)),
    ),
  )
  const [pair, other] = key.encryptResidues([message, message], level).map((made) => seeded(made, level))
  t.notSame(pair.seed, other.seed)
  const errors = phases(pair, level, message)
  t.ok(errors[0].every((e) => Math.abs(e) <= ERROR_BOUND) && rms(errors[0]) > 3 && rms(errors[0]) < 3.5)
  for (const error of errors.slice(1))
    t.ok(
      error.every((e, k) => e === errors[0][k]),
      'the same error',
    )
  t.equal(key.context.heap.used, used, 'messages leave no memory behind')
  const memory = Buffer.from(key.context.heap.memory.buffer)
  t.notOk(memory.includes(Buffer.from(message.buffer, 4 * ring, 64)), 'nor themselves')
})
