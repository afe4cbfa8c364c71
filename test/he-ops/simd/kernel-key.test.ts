import t from 'tap'
import { embedPeriodicFast } from '../../../src/he-ops/encoding/embedding-fft.ts'
import { createKernelMemory } from '../../../src/he-ops/kernels/kernels.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../src/he-ops/seal/encryptor.ts'
import { generateSecretKey } from '../../../src/he-ops/seal/keys/index.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys/secret.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { ciphertextFromWire, ciphertextToWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import { levelShape, type PackedFullRlwe, type PackedRlwe, type SeededRlwe } from '../../../src/wire/index.ts'
import { packedFullRlwe, readRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import { refreshed } from '../../support/refreshed.ts'
import { slowBinomial } from '../kernels/slow-sampling.ts'
import { mod, secretResidues, transforms } from '../seal/exact.ts'
import { residuesOf, smallParameters } from '../seal/fixture.ts'
import { holdsPiece, unpacked } from './fixture.ts'

// Encryptions by the kernels, decrypted by node-seal.

const parameters = smallParameters([28, 30, 30, 27], 30, 30)
const { ring, primes, topLevel } = parameters
const ctx = createSealContext(await loadSeal(), parameters)
const secretKey = generateSecretKey(ctx)
const secrets = secretResidues(ctx, secretKey)
const key = await KernelKey.create(parameters, secretPolynomial(ctx, secretKey))
t.teardown(() => {
  key.delete()
  secretKey.delete()
  ctx.delete()
})

const SCALE = 2 ** 30
const ERROR_BOUND: number = key.context.kernels.BINOMIAL_BOUND.value
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
      rms(decryptSlots(ctx, secretKey, [made], level, SCALE)[0].real.map((value, s) => value - slots[s]))
    const found = errorsOf(seeded(pair, level))
    const usual = errorsOf(encryptSlots(ctx, secretKey, [slots], level, SCALE)[0])
    t.ok(Math.abs(found / usual - 1) < 0.1, `level ${level}: error ${found}, node-seal's ${usual}`)
  }
})

t.test('complex slots at every level, as node-seal encrypts them', async (t) => {
  const complex = { real: slots, imaginary: slots.map((value, s) => Math.cos(s * s) - value / 2) }
  for (let level = 1; level <= topLevel; level++) {
    const [pair] = key.encryptSlots([complex], level, SCALE)
    const errorsOf = (made: SeededRlwe): number[] => {
      const [found] = decryptSlots(ctx, secretKey, [made], level, SCALE)
      return (['real', 'imaginary'] as const).map((part) =>
        rms(found[part].map((value, s) => value - complex[part][s])),
      )
    }
    const usual = errorsOf(encryptSlots(ctx, secretKey, [complex], level, SCALE)[0])
    errorsOf(seeded(pair, level)).forEach((error, part) => {
      t.ok(Math.abs(error / usual[part] - 1) < 0.1, `level ${level}: error ${error}, ${usual[part]}`)
    })
  }
})

t.test('shorter complex vectors, and values that do not fit', async (t) => {
  const short = { real: Float64Array.of(0.5, -1, 2), imaginary: Float64Array.of(3, 0.25, -0.75) }
  const [pair] = key.encryptSlots([short], 1, SCALE).map((made) => seeded(made, 1))
  const [found] = decryptSlots(ctx, secretKey, [pair], 1, SCALE)
  for (const part of ['real', 'imaginary'] as const) {
    t.ok(found[part].every((value, s) => Math.abs(value - (short[part][s] ?? 0)) < 1e-5))
  }
  // Each part alone would fit below 2^57, which is half of the modulus.
  const large = 0.9 * 2 ** 27
  t.throws(
    () => key.encryptSlots([{ real: Float64Array.of(large), imaginary: Float64Array.of(large) }], 1, SCALE),
    { code: 'TENSOR_OUT_OF_RANGE' },
  )
  t.equal(key.encryptSlots([Float64Array.of(large)], 1, SCALE).length, 1)
})

t.test('several vectors, shorter ones and none', async (t) => {
  const vectors = [slots.subarray(0, 5), new Float64Array(0), Float64Array.of(-3.5)]
  const pairs = key.encryptSlots(vectors, 2, SCALE).map((pair) => seeded(pair, 2))
  const found = decryptSlots(ctx, secretKey, pairs, 2, SCALE)
  vectors.forEach((vector, v) => {
    t.ok(found[v].real.every((value, s) => Math.abs(value - (vector[s] ?? 0)) < 1e-5))
  })
  const seeds = new Set(pairs.map(({ seed }) => Buffer.from(seed).toString('hex')))
  t.equal(seeds.size, 3)
})

t.test('values that do not fit are refused, and the key stays usable', async (t) => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40]) {
    t.throws(() => key.encryptSlots([Float64Array.of(value)], 1, SCALE), { code: 'TENSOR_OUT_OF_RANGE' })
  }
  t.throws(() => key.encryptSlots([Float64Array.of(1)], 0, SCALE), { code: 'TENSOR_OUT_OF_RANGE' })
  t.equal(key.encryptSlots([Float64Array.of(1)], 1, SCALE).length, 1)
})

/** Integers within a quarter of the modulus of a level with two primes; no two coefficients are equal. */
const integers = (round: number): bigint[] =>
  Array.from(
    { length: ring },
    (_, k) => (BigInt(k) * 48271n - 2n ** 27n) * 2n ** 20n + BigInt((k + round) % 97),
  )

const residuesAt = (values: readonly bigint[], level: number): Uint32Array =>
  Uint32Array.from(
    primes.slice(0, level + 1).flatMap((prime) => transforms(ring, prime).forward(values).map(Number)),
  )

/** A ciphertext of two polynomials, as one comes out of a frame. */
function full(pair: PackedRlwe, level: number): PackedFullRlwe {
  const ciphertext = ciphertextFromWire(ctx, seeded(pair, level), level, 1)
  const shape = levelShape(parameters, level)
  const bytes = new Uint8Array(rlweBytes(shape, false))
  writeRlwe(shape, ciphertextToWire(ctx, ciphertext), bytes)
  ciphertext.delete()
  return packedFullRlwe(shape, bytes)
}

for (const threads of [1, 3]) {
  t.test(
    `${threads} threads refresh integers to the last bit, but for the errors of two encryptions`,
    async (t) => {
      const [from, to] = [1, topLevel]
      const key = await KernelKey.create(parameters, secretPolynomial(ctx, secretKey), { threads })
      const values = Array.from({ length: 11 }, (_, i) => integers(i))
      const masked = values.map((each) => full(key.encryptResidues([residuesAt(each, from)], from)[0], from))
      // The second call has more than one batch, and calls are sequential.
      const rounds = await Promise.all([
        refreshed(key, masked.slice(0, 2), from, to),
        refreshed(key, masked, from, to),
        refreshed(key, [], from, to),
      ])
      t.strictSame(
        rounds.map(({ length }) => length),
        [2, 11, 0],
      )
      const seeds = new Set(rounds.flat().map(({ seed }) => Buffer.from(seed).toString('hex')))
      t.equal(seeds.size, 13)
      for (const [i, fresh] of rounds[1].entries()) {
        t.equal(fresh.limbs.length, to + 1)
        if (i % 5 !== 0) continue
        const errors = phases(seeded(fresh, to), to, residuesAt(values[i], to))
        t.ok(errors[0].every((e) => Math.abs(e) <= 2 * ERROR_BOUND) && rms(errors[0]) > 4)
        for (const error of errors.slice(1)) t.ok(error.every((e, k) => e === errors[0][k]))
      }
      const [same] = await refreshed(key, masked.slice(0, 1), from, from)
      t.ok(rms(phases(seeded(same, from), from, residuesAt(values[0], from))[1]) < 5, 'to the same level')
      key.delete()
    },
  )
}

t.test(
  'integers next to either end of their range are refreshed to the last bit, from every level',
  async (t) => {
    for (const from of [0, 1, 2]) {
      const modulus = primes.slice(0, from + 1).reduce((product, prime) => product * prime, 1n)
      // An error more and they would be beyond the end.
      const most = modulus / 2n - BigInt(ERROR_BOUND)
      const values = Array.from({ length: ring }, (_, k) => {
        const distance = (BigInt(k) ** 4n / 64n) % most
        return k % 2 === 0 ? most - distance : distance - most
      })
      const masked = full(key.encryptResidues([residuesAt(values, from)], from)[0], from)
      const [fresh] = await refreshed(key, [masked], from, topLevel)
      const errors = phases(seeded(fresh, topLevel), topLevel, residuesAt(values, topLevel))
      t.ok(errors[0].every((e) => Math.abs(e) <= 2 * ERROR_BOUND))
      for (const error of errors.slice(1)) t.ok(error.every((e, k) => e === errors[0][k]))
    }
  },
)

t.test('a residue out of range is refused at every place', async (t) => {
  const [good] = key.encryptResidues([residuesAt(integers(0), 1)], 1).map((pair) => full(pair, 1))
  for (const part of ['limbs', 'second'] as const) {
    const bad = { ...good, [part]: good[part].map((limb) => ({ ...limb, bytes: limb.bytes.slice() })) }
    bad[part][1].bytes.fill(255, 1000, 1008)
    await t.rejects(refreshed(key, [good, bad], 1, topLevel), {
      code: 'TENSOR_MALFORMED',
      facts: { prime: 1 },
    })
  }
  t.equal((await refreshed(key, [good], 1, topLevel)).length, 1, 'and the key works on')
})

t.test('a seed with a rejected word is not used in a refresh', async (t) => {
  const own = await KernelKey.create(parameters, secretPolynomial(ctx, secretKey))
  const { kernels } = own.context
  const { uniformNoted } = kernels
  let spoilt = 0
  // Programs depend on the kernels' numbers of parameters.
  kernels.uniformNoted = Object.defineProperty(
    (...args: number[]) => {
      const result = uniformNoted(...args)
      if (spoilt++ === 2) own.context.heap.words(args[6], 1)[0] = 1
      return result
    },
    'length',
    { value: uniformNoted.length },
  )
  const [good] = key.encryptResidues([residuesAt(integers(0), 1)], 1).map((pair) => full(pair, 1))
  const [fresh] = await refreshed(own, [good], 1, topLevel)
  t.ok(spoilt > 2 * (topLevel + 1) - 1, 'it is made anew')
  const errors = phases(seeded(fresh, topLevel), topLevel, residuesAt(integers(0), topLevel))
  t.ok(errors.every((error) => error.every((e, k) => e === errors[0][k])))
  own.delete()
})

for (const threads of [1, 2]) {
  t.test(`deleted during a refresh of ${threads} threads: no answer, and no trace`, async (t) => {
    const memory = createKernelMemory(threads > 1 ? 'shared' : 'unshared')
    const own = await KernelKey.create(parameters, secretPolynomial(ctx, secretKey), { memory, threads })
    const [good] = key.encryptResidues([residuesAt(integers(0), 1)], 1).map((pair) => full(pair, 1))
    const isBlank = (): boolean => Buffer.from(memory.buffer).every((byte) => byte === 0)
    t.equal((await refreshed(own, [good], 1, topLevel)).length, 1)
    const late = refreshed(own, new Array(20).fill(good), 1, topLevel)
    own.delete()
    await t.rejects(late, { code: 'INTERNAL' })
    t.ok(isBlank(), 'all zero')
    await t.rejects(refreshed(own, [good], 1, topLevel), { code: 'INTERNAL' })
    t.throws(() => own.encryptResidues([], 1), { code: 'INTERNAL' })
    t.ok(isBlank())
  })
}

/**
 * A key whose kernel memory the test can look into, and the random bytes that it draws, without seeds.
 * @param onDraw called at each draw
 */
async function watched(onDraw = () => {}) {
  const memory = createKernelMemory('unshared')
  const own = await KernelKey.create(parameters, secretPolynomial(ctx, secretKey), { memory })
  const { heap, kernels } = own.context
  const { random } = kernels
  const drawn: Uint8Array[] = []
  kernels.random = (address, bytes) => {
    const result = random(address, bytes)
    if (bytes > 64) drawn.push(heap.bytes(address >>> 0, bytes).slice())
    onDraw()
    return result
  }
  return { own, memory, drawn }
}

t.test('deleted while a refresh computes: no answer, and no trace', async (t) => {
  const { own, memory, drawn } = await watched(() => own.delete())
  const [good] = key.encryptResidues([residuesAt(integers(0), 1)], 1).map((pair) => full(pair, 1))
  await t.rejects(refreshed(own, [good], 1, topLevel), { code: 'INTERNAL', message: /deleted/ })
  t.ok(drawn.length > 0, 'it had begun')
  t.ok(Buffer.from(memory.buffer).every((byte) => byte === 0))
})

const words = (prime: bigint, values: readonly bigint[]): Uint32Array =>
  Uint32Array.from(values, (value) => Number(mod(value, prime)))

/** What decrypts to a pair's message: c0 + c1 s as coefficients, modulo each prime of a level. */
const decrypted = (pair: SeededRlwe, level: number): bigint[][] =>
  phases(pair, level, new Uint32Array(ring * (level + 1))).map((values) => values.map(BigInt))

t.test('a refresh leaves only public data in scratch memory', async (t) => {
  const { own, memory, drawn } = await watched()
  const [pair] = key.encryptResidues([residuesAt(integers(5), 1)], 1)
  await refreshed(own, [full(pair, 1)], 1, topLevel)
  t.ok(drawn.length > 0)
  for (const bytes of drawn) {
    t.notOk(Buffer.from(memory.buffer).includes(Buffer.from(bytes.slice(0, 64))), 'random bytes of an error')
    t.notOk(holdsPiece(memory, slowBinomial(bytes, ring)), 'an error')
  }
  const { steps } = own.context.conversion([0, 1], true)
  for (const [i, coefficients] of decrypted(seeded(pair, 1), 1).entries()) {
    const message = transforms(ring, primes[i]).forward(coefficients)
    const { bias, scale } = steps[i]
    const forms = {
      'the message': message,
      'its negative': message.map((value) => -value),
      'its base extension': coefficients.map((value) => (BigInt(bias) - value) * BigInt(scale.w)),
    }
    for (const [name, values] of Object.entries(forms)) {
      t.notOk(holdsPiece(memory, words(primes[i], values)), `${name} modulo prime ${i}`)
    }
  }
  own.delete()
})

t.test('encrypting slots leaves neither message nor error in kernel memory', async (t) => {
  const { own, memory, drawn } = await watched()
  const level = 1
  own.encryptSlots([slots], level, SCALE)
  const coefficients = embedPeriodicFast(slots)
  t.notOk(holdsPiece(memory, coefficients), 'coefficients')
  const rounded = Array.from(coefficients, (value) => BigInt(Math.round(value * SCALE)))
  const residues = residuesAt(rounded, level)
  for (let i = 0; i <= level; i++) {
    t.notOk(holdsPiece(memory, residues.slice(i * ring, (i + 1) * ring)), `the message modulo prime ${i}`)
  }
  t.equal(drawn.length, 1)
  t.notOk(holdsPiece(memory, slowBinomial(drawn[0], ring)), 'the error')
  own.delete()
})

t.test('decrypting leaves neither the message nor what it was computed from', async (t) => {
  const { own, memory } = await watched()
  const level = 1
  const [made] = key.encryptSlots([slots], level, SCALE)
  const pair = unpacked(full(made, level))
  const messages = decrypted(seeded(made, level), level)
  const arrays: BigUint64Array[] = []
  const Recorded = new Proxy(BigUint64Array, {
    construct(target, args) {
      const array = Reflect.construct(target, args)
      arrays.push(array)
      return array
    },
  })
  const { restore } = t.intercept(globalThis, 'BigUint64Array', { value: Recorded })
  const { real } = own.decryptPeriodic(pair, level, SCALE, ring / 2)
  restore()
  t.ok(real.every((value, s) => Math.abs(value - slots[s]) < 1e-4))
  const residues = arrays.filter(({ length }) => length === 2 * ring)
  t.equal(residues.length, 1)
  t.ok(
    residues[0].every((residue) => residue === 0n),
    'residues outside kernel memory',
  )
  for (const [i, coefficients] of messages.entries()) {
    const message = transforms(ring, primes[i]).forward(coefficients)
    const product = message.map((value, b) => value - BigInt(pair.c0[2 * (i * ring + b)]))
    const forms = { message, product, 'negative product': product.map((value) => -value) }
    for (const [name, values] of Object.entries(forms)) {
      t.notOk(holdsPiece(memory, words(primes[i], values)), `${name} modulo prime ${i}`)
    }
  }
  own.delete()
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
