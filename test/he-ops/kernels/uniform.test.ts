import t from 'tap'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { createKernelMemory, instantiateKernels, type Kernels } from '../../../src/he-ops/kernels/kernels.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { ciphertextFromWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { Heap } from '../../../src/he-ops/simd/memory/heap.ts'
import { SeedExpander } from '../../../src/he-ops/simd/values/seeds.ts'
import { residuesOf } from '../seal/fixture.ts'
import { REJECTING_PRIME, rejectingSeed } from './rejecting.ts'

const RING = 8192

/** Both builds of the kernels, each on its kind of memory. */
const builds = await Promise.all(
  (['shared', 'unshared'] as const).map(async (sharing) => {
    const memory = createKernelMemory(sharing)
    return { sharing, heap: new Heap(memory), kernels: await instantiateKernels(memory) }
  }),
)

// BLAKE2Xb in bigint arithmetic, after the papers.

const MASK = 2n ** 64n - 1n
const IV = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
]
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
]
const MIXED = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
]

const rotate = (x: bigint, bits: bigint): bigint => ((x >> bits) | (x << (64n - bits))) & MASK

function compress(h: readonly bigint[], m: readonly bigint[], bytes: bigint, last: boolean): bigint[] {
  const v = [...h, ...IV]
  v[12] ^= bytes
  if (last) v[14] ^= MASK
  for (let round = 0; round < 12; round++) {
    const order = SIGMA[round % 10]
    MIXED.forEach(([a, b, c, d], i) => {
      for (const [word, first, second] of [
        [order[2 * i], 32n, 24n],
        [order[2 * i + 1], 16n, 63n],
      ] as const) {
        v[a] = (v[a] + v[b] + m[word]) & MASK
        v[d] = rotate(v[d] ^ v[a], first)
        v[c] = (v[c] + v[d]) & MASK
        v[b] = rotate(v[b] ^ v[c], second)
      }
    })
  }
  return h.map((word, i) => word ^ v[i] ^ v[i + 8])
}

const begin = (...parameters: bigint[]): bigint[] => IV.map((word, i) => word ^ (parameters[i] ?? 0n))
const padded = (words: readonly bigint[]): bigint[] => [
  ...words,
  ...new Array<bigint>(16 - words.length).fill(0n),
]

/** Chunk `counter` of the stream of a seed: 512 words. */
function chunkOf(seed: Uint8Array, counter: number): BigUint64Array {
  const length = 4096n << 32n
  const key = [...new BigUint64Array(seed.slice().buffer)]
  const keyed = compress(begin(0x01014040n, length), padded(key), 128n, false)
  const root = padded(compress(keyed, padded([BigInt(counter)]), 136n, true))
  return BigUint64Array.from(
    Array.from({ length: 64 }, (_, leaf) =>
      compress(begin(0x4000000040n, length | BigInt(leaf), 0x4000n), root, 64n, true),
    ).flat(),
  )
}

function seedOf(number: number): Uint8Array {
  return Uint8Array.from({ length: 64 }, (_, i) => (number * 131 + i * 29 + ((i * i) >> 2)) & 255)
}

function streamed(heap: Heap, kernels: Kernels, seed: Uint8Array, counter: number): BigUint64Array {
  const bytes: number = kernels.CHUNK_BYTES.value
  const at = heap.allocate(64)
  const out = heap.allocate(bytes)
  const scratch = heap.allocate(kernels.SCRATCH_BYTES.value)
  heap.bytes(at, 64).set(seed)
  kernels.streamChunk(out, at, counter, scratch)
  const chunk = new BigUint64Array(heap.bytes(out, bytes).slice().buffer)
  for (const address of [at, out, scratch]) heap.free(address)
  return chunk
}

for (const { sharing, heap, kernels } of builds) {
  t.test(`chunks of the stream are BLAKE2Xb's, ${sharing} memory`, async (t) => {
    for (const [number, counter] of [
      [1, 0],
      [2, 1],
      [3, 0x12345],
      [4, 0xffffffff],
    ]) {
      const found = streamed(heap, kernels, seedOf(number), counter)
      t.strictSame([...found], [...chunkOf(seedOf(number), counter)], `chunk ${counter}`)
    }
    t.notSame([...streamed(heap, kernels, seedOf(1), 0)], [...chunkOf(seedOf(2), 0)], 'no seed is another')
  })

  t.test(`words are reduced, ${sharing} memory`, async (t) => {
    const at = heap.allocate(64)
    const out = heap.allocate(4 * 512)
    const scratch = heap.allocate(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
    heap.bytes(at, 64).set(seedOf(5))
    const chunk = chunkOf(seedOf(5), 7)
    const [largest] = nttPrimes(RING, [30])
    for (const prime of [largest, 2n ** 30n - 1n, 65537n, 12289n]) {
      t.equal(kernels.uniform(out, at, 7, 512, Number(prime), scratch), 0)
      const expected = [...chunk].map((word) => Number(word % prime))
      t.strictSame([...heap.words(out, 512)], expected, `modulo ${prime}`)
    }
  })
}

t.test('a rejected word is detected, and replaced as node-seal replaces it', async (t) => {
  const [{ heap, kernels }] = builds
  const seed = rejectingSeed()
  const others = nttPrimes(RING, [30, 30, 25]).filter((prime) => prime !== REJECTING_PRIME)
  const primes = [REJECTING_PRIME, ...others.slice(0, 2)]
  const at = heap.allocate(64)
  const outs = primes.map(() => heap.allocate(4 * RING))
  const scratch = heap.allocate(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
  heap.bytes(at, 64).set(seed)
  t.equal(kernels.uniform(outs[0], at, 0, RING, Number(REJECTING_PRIME), scratch), 1)
  const biased = heap.words(outs[0], RING).slice()

  new SeedExpander(heap, kernels).expand(seed, primes, RING, outs)
  const found = outs.flatMap((out) => [...heap.words(out, RING)])
  const parameters = checkParameters({
    ring: RING,
    primes: primes.map(String),
    specialPrimes: [String(nttPrimes(RING, [29])[0])],
  })
  const ctx = createSealContext(await loadSeal(), parameters)
  const c0 = new Uint32Array(2 * RING * primes.length)
  const ciphertext = ciphertextFromWire(ctx, { c0, seed }, primes.length - 1, 2 ** 20)
  const expected = residuesOf(ciphertext, RING * primes.length)
  ciphertext.delete()
  ctx.delete()
  t.ok(found.every((residue, i) => BigInt(residue) === expected[i]))
  t.equal(biased.filter((residue, i) => residue !== found[i]).length, 1, 'one residue was drawn anew')
})

t.test('the count of rejected words is noted in memory', async (t) => {
  for (const { sharing, heap, kernels } of builds) {
    const at = heap.allocate(64)
    const out = heap.allocate(4 * RING)
    const noted = heap.allocate(4)
    const scratch = heap.allocate(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
    for (const [seed, rejected] of [
      [rejectingSeed(), 1],
      [seedOf(5), 0],
    ] as const) {
      heap.bytes(at, 64).set(seed)
      heap.words(noted, 1)[0] = 12345
      kernels.uniformNoted(out, at, 0, RING, Number(REJECTING_PRIME), scratch, noted)
      t.equal(heap.words(noted, 1)[0], rejected, `${rejected} of the words, ${sharing} memory`)
    }
  }
})

t.test('the first word that is rejected is one below the largest multiple, as for SEAL', async (t) => {
  const [{ heap, kernels }] = builds
  const at = heap.allocate(64)
  const out = heap.allocate(4 * RING)
  const scratch = heap.allocate(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)
  heap.bytes(at, 64).set(rejectingSeed())
  const word = chunkOf(rejectingSeed(), 5)[245]
  // A divisor of `word + 1`. It is too large for the residues to be right, but not for the count.
  const divisor = 2020994573n
  t.equal(word, (2n ** 64n / divisor) * divisor - 1n)
  t.equal(kernels.uniform(out, at, 0, RING, Number(divisor), scratch), 1)
})
