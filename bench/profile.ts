import type { Kernels } from '../src/he-ops/kernels/kernels.ts'
import {
  PROGRAM_KERNELS,
  type Program,
  type ProgramKernel,
  runPiece,
} from '../src/he-ops/simd/program/program.ts'
import { type Benchmark, check, figure, median } from './harness.ts'
import { type BundledProgram, bundledProgram } from './parts/bundled-program.ts'

const RUNS = 5
/**
 * Words of a block term: address of the residues, address of the weights, log2 of residues for each weight.
 */
const BLOCK_TERM_WORDS = 3
const DIGITS_TIMES_KEYS = 'dot: digits times keys'

/** The time of each kernel in a run of the digits network on one thread. */
export const profile: Benchmark = {
  name: 'profile',
  what: 'where the digits network’s time goes, kernel by kernel, on one thread',
  async run(say) {
    const bundled = await bundledProgram('digits')
    const program = bundled.build(1)
    bundled.load(program)
    runAll(program.program, bundled.kernels)
    const expected = bundled.result(program)
    const plain = median(
      Array.from({ length: RUNS }, () => {
        bundled.load(program)
        return seconds(() => runAll(program.program, bundled.kernels))
      }),
    )
    const clock = new KernelClock(bundled)
    for (let run = 0; run < RUNS; run++) {
      bundled.load(program)
      runAll(program.program, clock.kernels)
      check(bundled.result(program).equals(expected), 'a run under the clock gives the same bits')
    }
    const total = clock.rows.reduce((sum, row) => sum + row.seconds, 0)
    const rows = clock.rows.map(({ what, calls, seconds: spent, residues }) => ({
      what,
      calls: calls / RUNS,
      milliseconds: figure((spent / RUNS) * 1e3),
      share: figure(spent / total),
      nanosecondsEach: figure((spent / residues) * 1e9),
    }))
    for (const { what, share } of rows) say(`${what}: ${(100 * share).toFixed(1)} %`)
    return { network: 'digits', plainSeconds: figure(plain), clockedSeconds: figure(total / RUNS), rows }
  },
}

function runAll(program: Program, kernels: Kernels): void {
  for (let phase = 0; phase < program.progress.length; phase++) runPiece(program, kernels, phase, 0)
}

function seconds(body: () => void): number {
  const start = performance.now()
  body()
  return (performance.now() - start) / 1000
}

interface Spent {
  readonly what: string
  calls: number
  seconds: number
  /** Number of residues; for sums, number of products. */
  residues: number
}

/** The kernels, each with a clock. */
class KernelClock {
  readonly kernels: Kernels
  readonly #spent = new Map<string, Spent>()
  readonly #bundled: BundledProgram

  constructor(bundled: BundledProgram) {
    this.#bundled = bundled
    const clocked = PROGRAM_KERNELS.map((name) => [name, this.#clocked(name, bundled.kernels[name])])
    this.kernels = { ...bundled.kernels, ...Object.fromEntries(clocked) }
  }

  /** The rows, the longest first. */
  get rows(): readonly Spent[] {
    return [...this.#spent.values()].sort((a, b) => b.seconds - a.seconds)
  }

  #clocked(name: ProgramKernel, kernel: (...args: number[]) => number): unknown {
    const clocked = (...args: number[]): void => {
      const start = performance.now()
      kernel(...args)
      const spent = (performance.now() - start) / 1000
      const { what, residues } = this.#work(name, args)
      const entry = this.#spent.get(what) ?? { what, calls: 0, seconds: 0, residues: 0 }
      this.#spent.set(what, entry)
      entry.calls++
      entry.seconds += spent
      entry.residues += residues
    }
    // A call of a program has as many words as the kernel has parameters.
    return Object.defineProperty(clocked, 'length', { value: kernel.length })
  }

  #work(name: ProgramKernel, args: number[]): { what: string; residues: number } {
    if (name === 'dot') return this.#sum(args)
    if (name !== 'dotPermuted') return { what: name, residues: this.#ring }
    const [, , blockCount, , vectorCount] = args
    return { what: DIGITS_TIMES_KEYS, residues: this.#ring * (blockCount + vectorCount) }
  }

  get #ring(): number {
    return this.#bundled.context.ring
  }

  /** Whether a weight is P or 1, which brings operands into the extended basis. */
  #isUnit(weight: number): boolean {
    const { timesP, ones, negatedTimesP, negatedOnes, moduli } = this.#bundled.context
    return [timesP, ones, negatedTimesP, negatedOnes].some(
      (table) => weight >= table && weight < table + 4 * moduli.length,
    )
  }

  /** The kind of sum of a `dot`, found by its terms. */
  #sum([, blockTerms, blockCount, , vectorCount, , length]: number[]): { what: string; residues: number } {
    const residues = length * (blockCount + vectorCount)
    if (vectorCount > 0 && blockCount <= 1) return { what: DIGITS_TIMES_KEYS, residues }
    const [, weight, shift] = this.#bundled.context.heap.words(blockTerms >>> 0, BLOCK_TERM_WORDS)
    const hasOneWeight = vectorCount === 0 && 2 ** shift === this.#ring
    if (!hasOneWeight) return { what: 'dot: weighted sums of layers', residues }
    return {
      what: this.#isUnit(weight) ? 'dot: sums of extended and normal' : 'dot: base conversion',
      residues,
    }
  }
}
