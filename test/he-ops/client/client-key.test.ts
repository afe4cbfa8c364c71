import t from 'tap'
import { rotationElements } from '../../../src/circuit/keys.ts'
import type { CkksParameters } from '../../../src/circuit/parameters/parameters.ts'
import { memoryKeyStore } from '../../../src/client/index.ts'
import { KeyRing } from '../../../src/client/local/key-ring.ts'
import { createClientKey, sampleSecretKey } from '../../../src/he-ops/client/create.ts'
import type { SealContext } from '../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../src/he-ops/seal/encryptor.ts'
import { importSecretKey } from '../../../src/he-ops/seal/keys/index.ts'
import { ciphertextFromWire, ciphertextToWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import {
  bytesSource,
  encodeSecretKey,
  type FullRlwe,
  levelShape,
  type PackedRlwe,
  type Rlwe,
  verifyKeySet,
} from '../../../src/wire/index.ts'
import { readRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import { sharedSealContext } from '../../support/seal-contexts.ts'
import { collect } from '../../wire/fixtures.ts'
import { secretResidues, transforms } from '../seal/exact.ts'
import { smallParameters } from '../seal/fixture.ts'

const SCALE = 2 ** 25
const ELEMENTS = rotationElements({ ring: 8192 }, [1, 7])
/** A vector with another value in every slot. */
const slots = Float64Array.from({ length: 4096 }, (_, i) => Math.sin(i + 1) + i / 4096)
const close = (found: Float64Array): boolean =>
  found.every((value, slot) => Math.abs(value - slots[slot]) < 2 ** -8)

/** A pair as `decodeTensor` returns it. */
function unpacked(parameters: CkksParameters, pair: Rlwe | PackedRlwe, level: number): Rlwe {
  const shape = levelShape(parameters, level)
  const bytes = new Uint8Array(rlweBytes(shape, true))
  writeRlwe(shape, pair, bytes)
  return readRlwe(shape, bytes, true)
}

/** A pair with its second polynomial expanded from its seed, by node-seal. */
function expanded(ctx: SealContext, pair: Rlwe, level: number): FullRlwe {
  const ciphertext = ciphertextFromWire(ctx, pair, level, SCALE)
  const full = ciphertextToWire(ctx, ciphertext)
  ciphertext.delete()
  return full
}

const chains: Record<string, CkksParameters> = {
  'primes for the kernels': smallParameters([28, 30, 30, 30], 30, 30),
  'larger primes': smallParameters([45, 30, 35], 60),
}

for (const [name, parameters] of Object.entries(chains)) {
  const { topLevel } = parameters
  t.test(`node-seal reads our ternary secret keys: ${name}`, async (t) => {
    const secret = await sampleSecretKey(parameters)
    const other = await sampleSecretKey(parameters)
    t.notOk(
      secret.every((half, i) => half === other[i]),
      'each key is new',
    )
    const ctx = await sharedSealContext(parameters)
    const key = importSecretKey(ctx, encodeSecretKey(parameters, secret))
    const all = [...parameters.primes, ...parameters.specialPrimes]
    const residues = secretResidues(ctx, key)
    const [first, ...rest] = all.map((prime, i) => transforms(8192, prime).inverse(residues(i)))
    t.ok(
      rest.every((coefficients) => coefficients.every((c, k) => c === first[k])),
      'one polynomial',
    )
    for (const value of [-1n, 0n, 1n]) {
      const share = first.filter((c) => c === value).length / 8192
      // A tolerance of five standard deviations around a third.
      t.ok(Math.abs(share - 1 / 3) < 0.027, `${value} has a share of ${share}`)
    }
    key.delete()
  })

  t.test(`encryption and decryption agree with node-seal at every level: ${name}`, async (t) => {
    const secret = await sampleSecretKey(parameters)
    const ctx = await sharedSealContext(parameters)
    const whole = importSecretKey(ctx, encodeSecretKey(parameters, secret))
    const key = await createClientKey(parameters, secret, 'f')
    for (const level of [1, topLevel]) {
      const [pair] = await key.encryptSlots([slots], level, SCALE)
      const made = unpacked(parameters, pair, level)
      t.ok(close(decryptSlots(ctx, whole, [made], level, SCALE)[0].real), `encrypted at level ${level}`)
      const theirs = encryptSlots(ctx, whole, [slots], level, SCALE)
      const { real, imaginary } = await key.decryptPeriodic(
        expanded(ctx, theirs[0], level),
        level,
        SCALE,
        4096,
      )
      t.ok(close(real), `decrypted at level ${level}`)
      t.ok(
        imaginary.every((value) => Math.abs(value) < 2 ** -8),
        'the imaginary part is 0',
      )
    }
    const complex = { real: slots, imaginary: slots.map((value) => 1 - value / 2) }
    const [pair] = await key.encryptSlots([complex], 1, SCALE)
    const made = unpacked(parameters, pair, 1)
    const found = await key.decryptPeriodic(expanded(ctx, made, 1), 1, SCALE, 4096)
    t.ok(close(found.real))
    t.ok(found.imaginary.every((value, s) => Math.abs(value - complex.imaginary[s]) < 2 ** -8))
    await t.rejects(key.encryptSlots([Float64Array.of(Number.NaN)], 1, SCALE), {
      code: 'TENSOR_OUT_OF_RANGE',
    })
    const frame = await collect(key.keySet(ELEMENTS))
    t.strictSame(await verifyKeySet(parameters, bytesSource(frame)), ELEMENTS)

    key.delete()
    t.ok(
      secret.every((half) => half === 0),
      'the secret is overwritten',
    )
    whole.delete()
  })

  t.test(`an overwritten key refuses to make anything: ${name}`, async (t) => {
    const secret = await sampleSecretKey(parameters)
    const ctx = await sharedSealContext(parameters)
    const whole = importSecretKey(ctx, encodeSecretKey(parameters, secret))
    const pairs = encryptSlots(ctx, whole, [slots], 1, SCALE)
    const key = await createClientKey(parameters, secret, 'f')
    // An operation that began before may succeed, but only under the intact key.
    const begun = key.encryptSlots([slots], 1, SCALE).catch(() => [])
    key.delete()
    for (const pair of await begun) {
      t.ok(close(decryptSlots(ctx, whole, [unpacked(parameters, pair, 1)], 1, SCALE)[0].real))
    }
    await t.rejects(key.encryptSlots([slots], 1, SCALE), { code: 'INTERNAL', message: /overwritten/ })
    await t.rejects(key.decryptPeriodic(expanded(ctx, pairs[0], 1), 1, SCALE, 4096), {
      code: 'INTERNAL',
      message: /overwritten/,
    })
    t.throws(() => key.copySecret(), { code: 'INTERNAL', message: /overwritten/ })
    await t.rejects(collect(key.keySet(ELEMENTS)), { code: 'INTERNAL', message: /overwritten/ })
    whole.delete()
  })
}

t.test('drawing a secret key leaves only zeros in kernel memory', async (t) => {
  const made: WebAssembly.Memory[] = []
  class Recorded extends WebAssembly.Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor)
      made.push(this)
    }
  }
  t.intercept(WebAssembly, 'Memory', { value: Recorded })
  await sampleSecretKey(chains['primes for the kernels'])
  t.equal(made.length, 1, 'it has a memory of its own')
  const bytes = Buffer.from(made[0].buffer)
  t.ok(bytes.length > 3 * 4 * 8192, 'which was used')
  t.ok(bytes.equals(Buffer.alloc(bytes.length)))
})

t.test('a key set that was begun can be finished after the key is deleted', async (t) => {
  const parameters = chains['primes for the kernels']
  const key = await createClientKey(parameters, await sampleSecretKey(parameters), 'f')
  const chunks: Uint8Array[] = []
  for await (const chunk of key.keySet(ELEMENTS)) {
    if (chunks.length === 0) key.delete()
    chunks.push(chunk)
  }
  await t.resolves(verifyKeySet(parameters, bytesSource(Uint8Array.from(Buffer.concat(chunks)))))
})

t.test('all callers of a ring get the same key, also after it was closed', async (t) => {
  const parameters = chains['primes for the kernels']
  const store = memoryKeyStore()
  const ring = new KeyRing(store)
  await t.rejects(ring.unlockExisting(parameters), { code: 'KEYS_MISSING' })
  const [first, second] = await Promise.all([ring.unlock(parameters), ring.unlock(parameters)])
  t.equal(first, second)
  t.equal(await ring.unlockExisting(parameters), first)
  const [pair] = await first.encryptSlots([slots], 1, SCALE)
  ring.close()
  await new Promise((resolve) => setImmediate(resolve))
  await t.rejects(first.encryptSlots([slots], 1, SCALE), { code: 'INTERNAL' })
  const again = await ring.unlockExisting(parameters)
  t.equal(again.fingerprint, first.fingerprint)
  const ctx = await sharedSealContext(parameters)
  const full = expanded(ctx, unpacked(parameters, pair, 1), 1)
  t.ok(close((await again.decryptPeriodic(full, 1, SCALE, 4096)).real), 'it is the same key')
  ring.close()
})
