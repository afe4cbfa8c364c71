import fc from 'fast-check'
import t from 'tap'
import { generator, heap, kernels, primes, requireEqual, withMemory } from './fixture.ts'
import { slowBinomial, slowResidues, slowTernary } from './slow-sampling.ts'

// Sampling kernels: compared with a slow implementation on given random bytes, and by statistics on the
// platform's bytes.

const BOUND: number = kernels.BINOMIAL_BOUND.value
const BYTES: number = kernels.BINOMIAL_BYTES.value
const RESERVE: number = kernels.TERNARY_RESERVE.value

/** Random bytes, some of which are rejected. */
function bytesOf(length: number, seed: number, rejected: number): Uint8Array {
  const random = generator(seed)
  return Uint8Array.from({ length }, () => (random(1000) < rejected ? 255 : random(256)))
}

function ternary(bytes: Uint8Array, size: number): Uint32Array {
  return withMemory(({ bytes: place, words }) => {
    const source = place(bytes)
    const out = words(size)
    kernels.ternary(out.address, source.address, size)
    return out.read()
  })
}

function binomial(bytes: Uint8Array, size: number): Uint32Array {
  return withMemory(({ bytes: place, words }) => {
    const source = place(bytes)
    const out = words(size)
    kernels.binomial(out.address, source.address, size)
    requireSame(source.read(), bytes)
    return out.read()
  })
}

function requireSame(found: Uint8Array, expected: Uint8Array): void {
  if (!Buffer.from(found).equals(Buffer.from(expected))) throw new Error('The random bytes changed')
}

const sizes = fc.constantFrom(16, 64, 1024, 8192)

t.test('ternary coefficients follow the definition, also for rejected bytes', async () => {
  fc.assert(
    fc.property(sizes, fc.nat(), fc.constantFrom(0, 4, 30), (size, seed, rejected) => {
      const bytes = bytesOf(size + RESERVE, seed, rejected)
      requireEqual(ternary(bytes, size), slowTernary(bytes, size), `${size}, ${rejected}`)
    }),
    { numRuns: 60 },
  )
})

t.test(
  'without enough random bytes the ternary sampler returns nothing, in particular no biased values',
  async (t) => {
    t.throws(() => ternary(new Uint8Array(64 + RESERVE).fill(255), 64), WebAssembly.RuntimeError)
    const last = new Uint8Array(16 + RESERVE).fill(255)
    last.fill(0, 0, 15)
    last[15 + RESERVE] = 8
    t.equal(ternary(last, 16)[15], 2, 'the last byte of the reserve is used')
  },
)

t.test('binomial coefficients follow SEAL’s definition', async () => {
  fc.assert(
    fc.property(sizes, fc.nat(), fc.constantFrom(0, 200, 1000), (size, seed, ones) => {
      const bytes = bytesOf(BYTES * size, seed, ones)
      requireEqual(binomial(bytes, size), slowBinomial(bytes, size), `${size}`)
    }),
    { numRuns: 40 },
  )
})

/** Words of 64 bits. Some lie at or beyond the largest multiple of all 30-bit primes. */
function wordsOf(length: number, seed: number, large: number): BigUint64Array {
  const random = generator(seed)
  const any = (): bigint => (BigInt(random(2 ** 32)) << 32n) + BigInt(random(2 ** 32))
  return BigUint64Array.from({ length }, () =>
    random(1000) < large ? 2n ** 64n - 1n - BigInt(random(2 ** 30)) : any(),
  )
}

function residuesOf(source: BigUint64Array, size: number, q: number): Uint32Array {
  return withMemory(({ bytes: place, words }) => {
    const from = place(new Uint8Array(source.slice().buffer))
    const out = words(size)
    kernels.residues(out.address, from.address, size, q)
    return out.read()
  })
}

const RESIDUE_WORDS: number = kernels.RESIDUE_RESERVE.value / 8

t.test(
  'uniform residues are words modulo the prime; words beyond its largest multiple are replaced',
  async () => {
    fc.assert(
      fc.property(
        fc.constantFrom(4, 64, 1024),
        primes(8192).map(Number),
        fc.nat(),
        fc.constantFrom(0, 2),
        (size, q, seed, large) => {
          const source = wordsOf(size + RESIDUE_WORDS, seed, large)
          requireEqual(residuesOf(source, size, q), slowResidues(source, size, q), `${size} modulo ${q}`)
        },
      ),
      { numRuns: 200, seed: 3 },
    )
  },
)

t.test('uniform residues: the largest accepted word and the smallest rejected one', async (t) => {
  const q = 1073692673
  const limit = 2n ** 64n - (2n ** 64n % BigInt(q))
  const source = new BigUint64Array(4 + RESIDUE_WORDS)
  source.set([limit - 1n, limit, limit + 1n, 5n])
  source.set([2n ** 64n - 1n, 77n, 78n, 79n], 4)
  t.strictSame([...residuesOf(source, 4, q)], [q - 1, 77, 78, 5])
  const without = new BigUint64Array(4 + RESIDUE_WORDS).fill(2n ** 64n - 1n)
  t.throws(
    () => residuesOf(without, 4, q),
    WebAssembly.RuntimeError,
    'without enough words the sampler returns nothing',
  )
})

t.test('the sampler overwrites its random bytes, and scatters values', async (t) => {
  withMemory(({ words }) => {
    const at = words(new Uint32Array(16).fill(7))
    kernels.clear(at.address + 4, 12)
    t.strictSame([...at.read().subarray(0, 5)], [7, 0, 0, 0, 7])
    const values = words([1, 2, 3, 4])
    kernels.scatter(at.address, values.address, 4, 4)
    t.strictSame([...at.read()], [1, 0, 0, 0, 2, 7, 7, 7, 3, 7, 7, 7, 4, 7, 7, 7])
  })
})

t.test('the platform fills memory completely, with new bytes each time', async (t) => {
  for (const size of [1, 64, 65536, 65537, 200_000]) {
    const [first, second] = withMemory(({ bytes }) =>
      [0, 1].map(() => {
        const at = bytes(new Uint8Array(size))
        // Programs pass addresses as signed words.
        t.equal(kernels.random(at.address | 0, size), size)
        return at.read()
      }),
    )
    if (size < 64) continue
    t.notOk(Buffer.from(first).equals(Buffer.from(second)))
    for (let start = 0; start + 64 <= size; start += 32768) {
      t.ok(first.subarray(start, start + 64).some((byte) => byte !== 0))
    }
    t.ok(
      first.subarray(-64).some((byte) => byte !== 0),
      `to the end of ${size}`,
    )
  }
})

// The tests below use the platform's bytes; chance exceeds their thresholds about once in 10^9 runs.

const N = 8192
const POLYNOMIALS = 24

/** Coefficients of fresh polynomials. */
function drawn(kernel: 'ternary' | 'binomial', bytes: number, bound: number): Int32Array[] {
  const [out, source] = [heap.allocate(4 * N), heap.allocate(bytes)]
  const polynomials = Array.from({ length: POLYNOMIALS }, () => {
    kernels.random(source, bytes)
    kernels[kernel](out, source, N)
    return Int32Array.from(heap.words(out, N), (word) => word - bound)
  })
  for (const address of [out, source]) heap.free(address)
  return polynomials
}

/** Deviation of a histogram's statistic from its mean, in standard deviations. */
function excess(samples: Iterable<number>, probability: (value: number) => number, bound: number): number {
  const counts = new Map<number, number>()
  let total = 0
  for (const value of samples) {
    counts.set(value, (counts.get(value) ?? 0) + 1)
    total++
  }
  let chi = 0
  let cells = -1
  for (let value = -bound; value <= bound; value++) {
    const expected = total * probability(value)
    if (expected < 10) continue
    chi += ((counts.get(value) ?? 0) - expected) ** 2 / expected
    cells++
  }
  return (chi - cells) / Math.sqrt(2 * cells)
}

/** Deviation of the products of coefficients `lag` apart from their mean 0, in standard deviations. */
function correlation(a: Int32Array, b: Int32Array, lag: number, variance: number): number {
  let sum = 0
  for (let k = 0; k < N; k++) sum += a[k] * b[(k + lag) % N]
  return Math.abs(sum) / (variance * Math.sqrt(N))
}

const binomialProbability = (value: number): number => {
  let probability = 2 ** -(2 * BOUND)
  for (let k = 0; k < value + BOUND; k++) probability *= (2 * BOUND - k) / (k + 1)
  return probability
}

for (const { kernel, bytes, bound, variance, probability } of [
  { kernel: 'ternary', bytes: N + RESERVE, bound: 1, variance: 2 / 3, probability: () => 1 / 3 },
  { kernel: 'binomial', bytes: BYTES * N, bound: BOUND, variance: 10.5, probability: binomialProbability },
] as const) {
  t.test(`${kernel} polynomials from the platform’s bytes have their distribution`, async (t) => {
    const polynomials = drawn(kernel, bytes, bound)
    const samples = polynomials.flatMap((polynomial) => [...polynomial])
    const count = samples.length
    const mean = samples.reduce((sum, value) => sum + value, 0) / count
    t.ok(Math.abs(mean) < 6 * Math.sqrt(variance / count), `mean ${mean}`)
    const second = samples.reduce((sum, value) => sum + value * value, 0) / count
    t.ok(Math.abs(second / variance - 1) < 6 * Math.sqrt(2 / count), `variance ${second}`)
    t.ok(excess(samples, probability, bound) < 12, `chi squared ${excess(samples, probability, bound)}`)
    // Checks that lanes and groups have the same distribution.
    for (let lane = 0; lane < 16; lane++) {
      const some = samples.filter((_, k) => k % 16 === lane)
      t.ok(excess(some, probability, bound) < 12, `lane ${lane}`)
    }
    for (const lag of [1, 2, 3, 4, 8, 15, 16, 17, 64, N / 2]) {
      const worst = Math.max(...polynomials.map((each) => correlation(each, each, lag, variance)))
      t.ok(worst < 7, `lag ${lag}: ${worst.toFixed(1)} deviations`)
    }
    for (let i = 1; i < POLYNOMIALS; i++) {
      const found = correlation(polynomials[i], polynomials[i - 1], 0, variance)
      t.ok(found < 7, `polynomials ${i - 1} and ${i}: ${found.toFixed(1)} deviations`)
    }
    // The statistics detect slightly different distributions.
    const biased = samples.map((value, k) => (k % 4 === 0 && value === 1 ? 0 : value))
    t.ok(excess(biased, probability, bound) > 20)
    const repeated = Int32Array.from(polynomials[0], (_, k) => polynomials[0][k - (k % 2)])
    t.ok(correlation(repeated, repeated, 1, variance) > 20)
  })
}
