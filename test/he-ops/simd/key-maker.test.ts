import t from 'tap'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { createKernelMemory, type Kernels } from '../../../src/he-ops/kernels/kernels.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { generateSecretKey } from '../../../src/he-ops/seal/keys/index.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys/secret.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import type { KernelKeyMaker } from '../../../src/he-ops/simd/encryption/key-maker.ts'
import type { PackedRlwe } from '../../../src/wire/index.ts'
import { readRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import { REJECTING_PRIME, rejectingSeed } from '../kernels/rejecting.ts'
import { expanded, mod, secretResidues, transforms } from '../seal/exact.ts'

// `seal/keys/switching.test.ts` compares keys with node-seal's; every test that computes under encryption
// uses them. This file tests their randomness.

const RING = 8192
const others = nttPrimes(RING, [29, 30, 30]).filter((prime) => prime !== REJECTING_PRIME)
const parameters = checkParameters({
  ring: RING,
  primes: [REJECTING_PRIME, others[0]].map(String),
  specialPrimes: others.slice(1, 3).map(String),
})
const all = [...parameters.primes, ...parameters.specialPrimes]
const ctx = createSealContext(await loadSeal(), parameters)
const secretKey = generateSecretKey(ctx)
const secret = secretPolynomial(ctx, secretKey)
const secrets = secretResidues(ctx, secretKey)
t.teardown(() => {
  secretKey.delete()
  ctx.delete()
})

/** Coefficients of the error of an encryption of zero, read modulo prime `i`. */
function errorOf(pair: PackedRlwe, i: number): number[] {
  const shape = { ring: RING, primes: all }
  const bytes = new Uint8Array(rlweBytes(shape, true))
  writeRlwe(shape, pair, bytes)
  const { c0, c1 } = expanded(ctx, readRlwe(shape, bytes, true))
  const s = secrets(i)
  const phase = s.map((value, b) => mod(-(c0[i * RING + b] + c1[i * RING + b] * value), all[i]))
  return transforms(RING, all[i]).inverse(phase).map(Number)
}

async function withMaker(body: (maker: KernelKeyMaker, kernels: Kernels) => unknown): Promise<void> {
  const key = await KernelKey.create(parameters, secret)
  const maker = await key.keyMaker()
  try {
    await body(maker, key.context.kernels)
  } finally {
    maker.delete()
    key.delete()
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Distance of a histogram from binomial errors: chi squared minus its mean, in standard deviations. */
function distance(histogram: ReadonlyMap<number, number>, bits: number): number {
  const total = [...histogram.values()].reduce((sum, count) => sum + count, 0)
  let probability = 2 ** -bits
  let chi = 0
  let cells = 0
  for (let k = 0; k <= bits; k++) {
    const expected = total * probability
    if (expected > 10) {
      chi += ((histogram.get(k - bits / 2) ?? 0) - expected) ** 2 / expected
      cells++
    }
    probability *= (bits - k) / (k + 1)
  }
  return (chi - cells) / Math.sqrt(2 * cells)
}

t.test('errors are SEAL’s: centred binomial of 42 bits, each pair its own', async (t) => {
  const pairs: PackedRlwe[] = []
  let bound = 0
  await withMaker((maker, kernels) => {
    bound = kernels.BINOMIAL_BOUND.value
    for (let i = 0; i < 12; i++) pairs.push(maker.publicKey())
  })
  const errors = pairs.map((pair) => errorOf(pair, 3))
  const samples = errors.flat()
  const mean = samples.reduce((sum, e) => sum + e, 0) / samples.length
  const variance = samples.reduce((sum, e) => sum + e * e, 0) / samples.length
  t.ok(Math.abs(mean) < 0.06, `mean ${mean}`)
  t.ok(Math.abs(variance - 10.5) < 0.3, `variance ${variance}`)
  t.ok(samples.every((e) => Math.abs(e) <= bound))
  const histogram = new Map(
    Array.from(
      Map.groupBy(samples, (e) => e),
      ([e, list]) => [e, list.length],
    ),
  )
  t.ok(Math.abs(distance(histogram, 42)) < 7, `chi squared, ${distance(histogram, 42)} deviations off`)
  t.ok(distance(histogram, 38) > 20, 'other errors would be noticed')
  t.equal(new Set(errors.map((e) => e.join())).size, pairs.length)
  t.equal(new Set(pairs.map(({ seed }) => hex(seed))).size, pairs.length, 'and its own seed')
})

t.test('a seed with a rejected word is not used', async (t) => {
  await withMaker((maker, kernels) => {
    const { random } = kernels
    let calls = 0
    kernels.random = (address, bytes) => {
      const drawn = random(address, bytes)
      const memory = kernels as unknown as { memory: WebAssembly.Memory }
      if (calls++ === 0) new Uint8Array(memory.memory.buffer, address, bytes).set(rejectingSeed())
      return drawn
    }
    const { seed } = maker.publicKey()
    t.equal(calls, 3, 'two seeds and an error')
    t.not(hex(seed), hex(rejectingSeed()))
  })
})

t.test('a key switching key with a rejected word is made again', async (t) => {
  await withMaker(async (maker, kernels) => {
    const { random } = kernels
    let seeds = 0
    kernels.random = (address, bytes) => {
      const drawn = random(address, bytes)
      const memory = kernels as unknown as { memory: WebAssembly.Memory }
      if (bytes === 64 && seeds++ === 0)
        new Uint8Array(memory.memory.buffer, address, bytes).set(rejectingSeed())
      return drawn
    }
    const pairs = await maker.relinKey()
    t.equal(seeds, 2 * pairs.length, 'all of its pairs')
    t.notOk(pairs.some(({ seed }) => hex(seed) === hex(rejectingSeed())))
  })
})

t.test('nothing is drawn but seeds and errors, all from the platform', async (t) => {
  await withMaker((maker, kernels) => {
    const { random } = kernels
    const drawn: number[] = []
    kernels.random = (address, bytes) => {
      drawn.push(bytes)
      return random(address, bytes)
    }
    maker.publicKey()
    maker.publicKey()
    const error = RING * kernels.BINOMIAL_BYTES.value
    t.strictSame(drawn, [64, error, 64, error])
  })
})

t.test('delete overwrites the secret in the kernels’ memory', async (t) => {
  const memory = createKernelMemory('unshared')
  // P * s modulo the first prime, of which Galois keys are made.
  const scaled = new Uint32Array(16)
  const special = parameters.specialPrimes.reduce((product, prime) => product * prime, 1n)
  for (let b = 0; b < 16; b++) scaled[b] = Number((special * secrets(0)[b]) % REJECTING_PRIME)
  const pattern = Buffer.from(scaled.buffer)
  const bytes = (): Buffer => Buffer.from(memory.buffer)
  const key = await KernelKey.create(parameters, secret, { memory })
  const { heap } = key.context
  const { used } = heap
  const maker = await key.keyMaker()
  await maker.galoisKey(3)
  t.ok(bytes().includes(pattern), 'it is there while keys are made')
  maker.delete()
  t.notOk(bytes().includes(pattern))
  t.equal(heap.used, used + RING, 'and nothing is left but the table of an automorphism')
  key.delete()
  t.ok(bytes().length > 2 ** 19)
  t.ok(bytes().every((byte) => byte === 0))
})

t.test('several threads make the keys of one set', async (t) => {
  const key = await KernelKey.create(parameters, secret, { threads: 3 })
  const bound = key.context.kernels.BINOMIAL_BOUND.value
  const maker = await key.keyMaker()
  const pairs = [...(await maker.relinKey()), ...(await maker.galoisKey(3)), ...(await maker.galoisKey(3))]
  maker.delete()
  key.delete()
  t.equal(new Set(pairs.map(({ seed }) => hex(seed))).size, pairs.length, 'each pair has its own seed')
  // Modulo the last prime, a special one, nothing is added to an encryption of zero.
  const last = all.length - 1
  for (const pair of pairs) t.ok(errorOf(pair, last).every((e) => Math.abs(e) <= bound))
})
