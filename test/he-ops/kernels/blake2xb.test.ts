import t from 'tap'
import { type CkksParameters, checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { isPrime, nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { Kernels } from '../../../src/he-ops/kernels/kernels.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { ciphertextFromWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { SeedExpander } from '../../../src/he-ops/simd/values/seeds.ts'
import { levelShape, polynomialHalves } from '../../../src/wire/index.ts'
import { residuesOf } from '../seal/fixture.ts'
import { generator, heap, kernels, withMemory } from './fixture.ts'

const RING = 8192
const CHUNK_BYTES: number = kernels.CHUNK_BYTES.value
const SCRATCH_BYTES: number = kernels.SCRATCH_BYTES.value

function seedOf(number: number): Uint8Array {
  const random = generator(number)
  return Uint8Array.from({ length: 64 }, () => random(256))
}

/** SEAL's expansion of the second polynomial of a seeded ciphertext, prime after prime. */
async function bySeal(parameters: CkksParameters, seed: Uint8Array): Promise<BigUint64Array> {
  const ctx = createSealContext(await loadSeal(), parameters)
  const { topLevel } = parameters
  const c0 = new Uint32Array(polynomialHalves(levelShape(parameters, topLevel)))
  const ciphertext = ciphertextFromWire(ctx, { c0, seed }, topLevel, 2 ** 20)
  const residues = residuesOf(ciphertext, RING * parameters.primes.length)
  ciphertext.delete()
  ctx.delete()
  return residues
}

const same = (a: BigUint64Array, b: BigUint64Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))

/** Prime after prime, as SEAL orders them. */
function joined(polynomials: readonly BigUint64Array[]): BigUint64Array {
  const all = new BigUint64Array(RING * polynomials.length)
  polynomials.forEach((words, i) => {
    all.set(words, RING * i)
  })
  return all
}

function expander(on: Kernels = kernels): SeedExpander {
  return new SeedExpander(heap, on)
}

/** The residues that `expand` writes. */
function expanded(seeds: SeedExpander, seed: Uint8Array, primes: readonly bigint[]): BigUint64Array {
  return withMemory((memory) => {
    const outs = primes.map(() => memory.words(RING))
    seeds.expand(
      seed,
      primes,
      RING,
      outs.map(({ address }) => address),
    )
    return joined(outs.map((out) => BigUint64Array.from(out.read(), BigInt)))
  })
}

const small = checkParameters({
  ring: RING,
  primes: nttPrimes(RING, [30, 20, 27, 30, 24]).map(String),
  specialPrimes: nttPrimes(RING, [29]).map(String),
})

/** Primes just above 2^64 / 17, for which nearly one word in seventeen is rejected. */
const REJECTING = largerPrimes(2n ** 64n / 17n, 3)

function largerPrimes(least: bigint, count: number): bigint[] {
  const step = BigInt(2 * RING)
  const found: bigint[] = []
  for (let candidate = (least / step + 1n) * step + 1n; found.length < count; candidate += step) {
    if (isPrime(candidate)) found.push(candidate)
  }
  return found
}

t.test('uniform polynomials of seeds agree with those of node-seal', async (t) => {
  const seeds = expander()
  for (const number of [1, 2, 3]) {
    const seed = seedOf(number)
    const expected = await bySeal(small, seed)
    t.ok(same(expanded(seeds, seed, small.primes), expected), `seed ${number}`)
    t.ok(
      same(joined(seeds.expandExactly(seed, small.primes, RING)), expected),
      `seed ${number}, slow expansion`,
    )
  }
  seeds.free()
})

t.test('the residues of each prime can be expanded from their place in the stream', async (t) => {
  const seed = seedOf(4)
  const expected = await bySeal(small, seed)
  const chunks = (8 * RING) / CHUNK_BYTES
  withMemory((memory) => {
    const at = memory.bytes(seed).address
    const scratch = memory.bytes(new Uint8Array(SCRATCH_BYTES + CHUNK_BYTES)).address
    small.primes.forEach((prime, i) => {
      const out = memory.words(RING)
      const rejected = kernels.uniform(out.address, at, i * chunks, RING, Number(prime), scratch)
      t.equal(rejected, 0)
      const part = BigUint64Array.from(out.read(), BigInt)
      t.ok(same(part, expected.slice(i * RING, (i + 1) * RING)), `prime ${i}`)
    })
  })
})

t.test('rejected words are replaced as in node-seal', async (t) => {
  const [first, second, special] = REJECTING
  const [middle] = nttPrimes(RING, [30])
  const parameters = checkParameters({
    ring: RING,
    primes: [first, middle, second].map(String),
    specialPrimes: [String(special)],
  })
  const seeds = expander()
  for (const number of [5, 6]) {
    const seed = seedOf(number)
    const share = rejectedShare(seed, first)
    t.ok(Math.abs(share - 1 / 17) < 0.01, `${share} of the words are rejected`)
    const found = joined(seeds.expandExactly(seed, parameters.primes, RING))
    t.ok(same(found, await bySeal(parameters, seed)), `seed ${number}`)
    t.ok(found.every((word, i) => word < parameters.primes[Math.floor(i / RING)]))
  }
  seeds.free()
})

/** The share of the stream's first words that are rejected for a prime. */
function rejectedShare(seed: Uint8Array, prime: bigint): number {
  return withMemory((memory) => {
    const at = memory.bytes(seed).address
    const scratch = memory.bytes(new Uint8Array(SCRATCH_BYTES)).address
    const out = memory.bytes(new Uint8Array(CHUNK_BYTES))
    let rejected = 0
    const chunks = (8 * RING) / CHUNK_BYTES
    for (let chunk = 0; chunk < chunks; chunk++) {
      kernels.streamChunk(out.address, at, chunk, scratch)
      for (const word of new BigUint64Array(out.read().buffer)) if (word >= 16n * prime - 1n) rejected++
    }
    return rejected / RING
  })
}

t.test('one rejected word switches to the slow expansion', async (t) => {
  const seed = seedOf(7)
  // A prime of 30 bits rejects one word in 2^34, so the test replaces the kernel's count.
  const rejecting: Kernels = {
    ...kernels,
    uniform(out: number, ...others: number[]) {
      kernels.uniform(out, ...others)
      heap.words(out, RING).fill(5)
      return 1
    },
  }
  const seeds = expander(rejecting)
  t.ok(same(expanded(seeds, seed, small.primes), await bySeal(small, seed)))
  seeds.free()
})

t.test('expanding frees its memory', async (t) => {
  const before = heap.used
  const seeds = expander()
  const during = heap.used
  seeds.expandExactly(seedOf(8), small.primes.slice(0, 1), RING)
  t.equal(heap.used, during)
  seeds.free()
  t.equal(heap.used, before)
})

t.test('a planted fault is detected: a flipped bit of the seed, another place in the stream', async (t) => {
  const seeds = expander()
  const seed = seedOf(9)
  const expected = await bySeal(small, seed)
  t.ok(same(expanded(seeds, seed, small.primes), expected))
  const flipped = seed.slice()
  flipped[63] ^= 128
  t.notOk(same(expanded(seeds, flipped, small.primes), expected))
  t.notOk(same(expanded(seeds, seed, [...small.primes].reverse()), expected))
  seeds.free()
})
