import { nttPrimes } from '../src/circuit/parameters/primes.ts'
import { createKernelMemory, instantiateKernels, type Kernels } from '../src/he-ops/kernels/kernels.ts'
import { Heap } from '../src/he-ops/simd/memory/heap.ts'
import { GaloisTables } from '../src/he-ops/simd/tables/galois-table.ts'
import { createModulus, type Modulus, shoup } from '../src/he-ops/simd/tables/modulus.ts'
import { type Benchmark, check, figure, medianSeconds } from './harness.ts'
import { clockHertz, peakVectorInstructions } from './parts/clock.ts'

const RING = 16384
const TERMS = 8
/** Residues of a sum whose operands all fit into the first-level cache. */
const STRETCH = 512
/** Approximate time of calls that are timed together. */
const TARGET_SECONDS = 0.02

/**
 * A single kernel: the operands of one call, and the least number of bytes that it moves between core and
 * memory.
 */
interface Row {
  readonly kernel: string
  /** The level of memory that holds the operands. */
  readonly where: string
  /** Number of residues of a call; for sums, number of products. */
  readonly count: number
  readonly bytesEach: number
  readonly run: () => void
}

/**
 * Each kernel on one core: nanoseconds, cycles and bytes for each residue. Tests check the results of
 * kernels.
 */
export const kernels: Benchmark = {
  name: 'kernels',
  what: 'each kernel on one core: time, cycles and bytes moved for each residue',
  async run(say) {
    const hertz = clockHertz()
    const peak = await peakVectorInstructions()
    say(`clock ${figure(hertz / 1e9)} GHz, at most ${figure(peak / hertz)} vector instructions a cycle`)
    const rows = (await new KernelRows().all()).map(({ run, ...row }) => {
      const seconds = perCall(run) / row.count
      const result = {
        ...row,
        nanosecondsEach: figure(seconds * 1e9),
        cyclesEach: figure(seconds * hertz),
        gigabytesPerSecond: figure(row.bytesEach / seconds / 1e9),
      }
      say(`${row.kernel}, ${row.where}: ${result.cyclesEach} cycles`)
      return result
    })
    return { ring: RING, clockHertz: figure(hertz), peakVectorPerCycle: figure(peak / hertz), rows }
  },
}

/** The time of one call in seconds: the median of eleven groups. */
function perCall(run: () => void): number {
  const once = medianSeconds(5, run)
  const repeats = Math.max(1, Math.round(TARGET_SECONDS / once))
  return (
    medianSeconds(11, () => {
      for (let i = 0; i < repeats; i++) run()
    }) / repeats
  )
}

class KernelRows {
  readonly #memory = createKernelMemory()
  readonly #heap = new Heap(this.#memory)
  readonly #modulus: Modulus = createModulus(this.#heap, RING, nttPrimes(RING, [30])[0])
  readonly #galois = new GaloisTables(this.#heap, RING)

  async all(): Promise<Row[]> {
    const kernels = await instantiateKernels(this.#memory)
    return [
      ...this.#elementwise(kernels),
      ...this.#samplers(kernels),
      ...this.#transforms(kernels),
      ...this.#sums(kernels),
    ]
  }

  /** Random residues modulo the prime, distributed like those of a server. */
  #limb(): number {
    const address = this.#heap.allocate(4 * RING)
    const words = this.#heap.words(address, RING)
    for (let i = 0; i < RING; i++) words[i] = Math.floor(Math.random() * this.#modulus.q)
    return address
  }

  #elementwise(k: Kernels): Row[] {
    const { q, inverse, square } = this.#modulus
    const [a, b, c, d, out, out1, out2] = Array.from({ length: 7 }, () => this.#limb())
    const { w, quotient } = shoup(123_456_789n, BigInt(q))
    const table = this.#galois.table(3)
    const weights = this.#limb()
    const row = (kernel: string, bytesEach: number, run: () => void): Row => ({
      kernel,
      where: 'second-level cache',
      count: RING,
      bytesEach,
      run,
    })
    return [
      row('add', 12, () => k.add(out, a, b, RING, q)),
      row('subtract', 12, () => k.subtract(out, a, b, RING, q)),
      row('addBlocks', 8, () => k.addBlocks(out, a, weights, 7, RING, q)),
      row('scale', 8, () => k.scale(out, a, 5, w, quotient, RING, q)),
      row('reduce', 8, () => k.reduce(out, a, 5, RING, q)),
      row('subtractScale', 12, () => k.subtractScale(out, a, b, w, quotient, RING, q)),
      row('multiplyPairs', 28, () => k.multiplyPairs(out, out1, out2, a, b, c, d, RING, q, inverse, square)),
      row('permute', 9, () => k.permute(out, a, table, this.#galois.patterns, RING)),
    ]
  }

  /** Sampling of random polynomials, and the platform's random bytes for them. */
  #samplers(k: Kernels): Row[] {
    const { q } = this.#modulus
    const bytes: number = RING * k.BINOMIAL_BYTES.value
    const [out, random] = [this.#limb(), this.#heap.allocate(bytes)]
    const scratch = this.#heap.allocate(k.SCRATCH_BYTES.value + k.CHUNK_BYTES.value)
    const row = (kernel: string, bytesEach: number, run: () => void): Row => ({
      kernel,
      where: 'second-level cache',
      count: RING,
      bytesEach,
      run,
    })
    k.random(random, bytes)
    return [
      row('random, a word for each residue', 4, () => k.random(random, 4 * RING)),
      row('ternary', 5, () => k.ternary(out, random, RING)),
      row('binomial', 4 + k.BINOMIAL_BYTES.value, () => k.binomial(out, random, RING)),
      row('uniform, from a seed', 12, () => k.uniform(out, random, 0, RING, q, scratch)),
    ]
  }

  #transforms(k: Kernels): Row[] {
    const { q, forward, backward, quotients, inverseSize, last } = this.#modulus
    const values = this.#limb()
    const forwards = () => k.nttForward(values, forward, quotients, RING, q)
    const backwards = () =>
      k.nttInverse(
        values,
        backward,
        quotients,
        RING,
        q,
        inverseSize.w,
        inverseSize.quotient,
        last.w,
        last.quotient,
      )
    const before = this.#heap.words(values, RING).slice()
    forwards()
    backwards()
    check(
      this.#heap.words(values, RING).every((residue, i) => residue === before[i]),
      'the transforms undo each other',
    )
    // The transform makes seven passes over the residues, each reading and writing. It also reads the roots
    // of the last pass with their quotients.
    const row = (kernel: string, run: () => void): Row => ({
      kernel,
      where: 'second-level cache',
      count: RING,
      bytesEach: 7 * 8 + 6,
      run,
    })
    return [row('nttForward', forwards), row('nttInverse', backwards)]
  }

  #sums(k: Kernels): Row[] {
    const { q, inverse, chunk } = this.#modulus
    const out = this.#limb()
    const digits = Array.from({ length: TERMS }, () => this.#limb())
    const vectorTable = (keys: readonly number[]) => this.#table(keys.flatMap((key, j) => [digits[j], key]))
    const sums = (count: number) =>
      Array.from({ length: count }, () => vectorTable(Array.from({ length: TERMS }, () => this.#limb())))
    const vector = (tables: readonly number[], length: number) => () => {
      for (const table of tables) k.dot(out, 0, 0, table, TERMS, 0, length, q, inverse, chunk, 0)
    }
    const row = (kernel: string, where: string, count: number, bytesEach: number, run: () => void): Row => ({
      kernel,
      where,
      count: count * TERMS,
      bytesEach,
      run,
    })
    const near = sums(1)
    // 24 sums use 12 MB of keys, 192 sums 100 MB.
    const middle = sums(24)
    const far = [...middle, ...sums(168)]
    const weights = this.#limb()
    const blocks = this.#table(digits.flatMap((digit, j) => [digit, weights + 512 * j, 7]))
    const block = () => k.dot(out, blocks, TERMS, 0, 0, 0, STRETCH, q, inverse, chunk, 0)
    return [
      row('dot, a weight for each block', 'first-level cache', STRETCH, 4, block),
      row('dot, a weight for each residue', 'first-level cache', STRETCH, 8, vector(near, STRETCH)),
      row('dot, a weight for each residue', '12 MB of keys', 24 * RING, 8, vector(middle, RING)),
      row('dot, a weight for each residue', '100 MB of keys', 192 * RING, 8, vector(far, RING)),
    ]
  }

  #table(words: readonly number[]): number {
    const address = this.#heap.allocate(4 * words.length)
    this.#heap.words(address, words.length).set(words)
    return address
  }
}
