import t from 'tap'
import { checkParameters } from '../../../src/circuit/parameters.ts'
import { nttPrimes } from '../../../src/circuit/primes.ts'
import { createKernelMemory } from '../../../src/he-ops/kernels/kernels.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { generateSecretKey } from '../../../src/he-ops/seal/keys.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys-secret.ts'
import { RestrictedContexts } from '../../../src/he-ops/seal/restricted-contexts.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import type { KernelKeyMaker } from '../../../src/he-ops/simd/encryption/key-maker.ts'
import { ERROR_BOUND } from '../../../src/he-ops/simd/encryption/symmetric-encryptor.ts'
import { createZeroSource, type ZeroSource } from '../../../src/he-ops/simd/encryption/zeros.ts'
import type { PackedRlwe } from '../../../src/wire/index.ts'
import { readRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import { REJECTING_PRIME, rejectingSeed } from '../kernels/rejecting.ts'
import { expanded, mod, secretResidues, transforms } from '../seal/exact.ts'

// That keys are what they should be is checked beside node-seal's own (`seal/keys-switching.test.ts`); that they work, by
// every test that computes under encryption. Here is what they are made from.

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
const contexts = new RestrictedContexts(ctx.seal, parameters)
const secret = secretPolynomial(ctx, secretKey)
const secrets = secretResidues(ctx, secretKey)
t.teardown(() => {
  secretKey.delete()
  contexts.delete()
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

async function withMaker(
  options: Parameters<typeof KernelKey.create>[2],
  body: (maker: KernelKeyMaker) => unknown,
): Promise<void> {
  const key = await KernelKey.create(contexts, secret, options)
  const maker = key.keyMaker()
  try {
    await body(maker)
  } finally {
    maker.delete()
    key.delete()
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** How far a histogram is from binomial errors: chi squared, less its mean, in deviations. */
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
  await withMaker({}, (maker) => {
    for (let i = 0; i < 12; i++) pairs.push(maker.publicKey())
  })
  // Modulo a prime that node-seal did not sample under.
  const errors = pairs.map((pair) => errorOf(pair, 3))
  const samples = errors.flat()
  const mean = samples.reduce((sum, e) => sum + e, 0) / samples.length
  const variance = samples.reduce((sum, e) => sum + e * e, 0) / samples.length
  t.ok(Math.abs(mean) < 0.06, `mean ${mean}`)
  t.ok(Math.abs(variance - 10.5) < 0.3, `variance ${variance}`)
  t.ok(samples.every((e) => Math.abs(e) <= ERROR_BOUND))
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

t.test('node-seal’s encryptions of zero are the pairs’ first residues', async (t) => {
  const source = createZeroSource(contexts.at(0), secret)
  const given: string[] = []
  const zeros: ZeroSource = {
    next() {
      const zero = source.next()
      given.push(hex(zero.seed))
      const words = zero.c0.filter((_, half) => half % 2 === 0)
      t.ok(words.every((residue) => residue < REJECTING_PRIME))
      given.push(words.join())
      return zero
    },
    delete: () => source.delete(),
  }
  await withMaker({ zeros }, (maker) => {
    const [first, second] = [maker.publicKey(), maker.publicKey()]
    t.equal(given.length, 4, 'one for each pair')
    for (const [i, pair] of [first, second].entries()) {
      t.equal(hex(pair.seed), given[2 * i])
      const shape = { ring: RING, primes: all }
      const bytes = new Uint8Array(rlweBytes(shape, true))
      writeRlwe(shape, pair, bytes)
      const { c0 } = readRlwe(shape, bytes, true)
      t.equal(
        c0
          .subarray(0, 2 * RING)
          .filter((_, half) => half % 2 === 0)
          .join(),
        given[2 * i + 1],
      )
    }
  })
})

t.test('a seed that needs a word drawn anew is not used', async (t) => {
  const source = createZeroSource(contexts.at(0), secret)
  let calls = 0
  const zeros: ZeroSource = {
    next: () => (calls++ === 0 ? { c0: new Uint32Array(2 * RING), seed: rejectingSeed() } : source.next()),
    delete: () => source.delete(),
  }
  await withMaker({ zeros }, (maker) => {
    const { seed } = maker.publicKey()
    t.equal(calls, 2)
    t.not(hex(seed), hex(rejectingSeed()))
  })
})

t.test('an encryption that is none of zero, or under another key, is refused', async (t) => {
  const source = createZeroSource(contexts.at(0), secret)
  let alter = (_: Uint32Array): void => {}
  const zeros: ZeroSource = {
    next() {
      const { c0, seed } = source.next()
      alter(c0)
      return { c0, seed }
    },
    delete: () => source.delete(),
  }
  await withMaker({ zeros }, (maker) => {
    t.doesNotThrow(() => maker.publicKey())
    alter = (c0) => {
      c0[1000] = (c0[1000] + 1) % Number(REJECTING_PRIME)
    }
    t.throws(() => maker.publicKey(), { code: 'INTERNAL' })
    t.throws(() => maker.relinKey(), { code: 'INTERNAL' })
    alter = () => {}
    t.doesNotThrow(() => maker.publicKey())
  })
})

t.test('no trace of the secret stays in the kernels’ memory', async (t) => {
  const memory = createKernelMemory('unshared')
  // P * s modulo the first prime, of which Galois keys are made.
  const scaled = new Uint32Array(16)
  const special = parameters.specialPrimes.reduce((product, prime) => product * prime, 1n)
  for (let b = 0; b < 16; b++) scaled[b] = Number((special * secrets(0)[b]) % REJECTING_PRIME)
  const pattern = Buffer.from(scaled.buffer)
  const bytes = (): Buffer => Buffer.from(memory.buffer)
  const key = await KernelKey.create(contexts, secret, { memory })
  const { heap } = key.context
  const { used } = heap
  const maker = key.keyMaker()
  maker.galoisKey(3)
  t.ok(bytes().includes(pattern), 'it is there while keys are made')
  maker.delete()
  t.notOk(bytes().includes(pattern))
  t.equal(heap.used, used + RING, 'and nothing is left but the table of an automorphism')
  key.delete()
  t.ok(bytes().length > 2 ** 19)
  t.ok(bytes().every((byte) => byte === 0))
})
