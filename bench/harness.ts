import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os'

/** The machine that figures were measured on; they mean little without it. */
export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
  /**
   * Processes that wanted a core in the minute before; more than a few tenths, and figures are not of a quiet
   * machine.
   */
  readonly loadBefore: number
}

export const machine = (): Machine => ({
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryBytes: totalmem(),
  system: `${platform()} ${release()} ${arch()}`,
  node: process.version,
  loadBefore: Number(loadavg()[0].toFixed(2)),
})

export interface BenchmarkOptions {
  /** A folder of test images beyond the bundled ones. */
  readonly images?: string
  /** How many images; each benchmark has its own number where it takes one. */
  readonly count?: string
  /** A folder of circuits, NAME.pvc, that need not be compiled again. */
  readonly circuits?: string
  /** A folder of networks that `make-network.ts` has written, to be measured instead of the trained ones. */
  readonly networks?: string
  /** Bits of precision that those are compiled with. */
  readonly precision?: string
  /** RTT_MS,MBIT of a link that the client is to have to the service. */
  readonly link?: string
}

/** A benchmark: checks its results first, then returns its figures. */
export interface Benchmark {
  readonly name: string
  readonly what: string
  /** @throws when a result is wrong; times of wrong results are not reported */
  run(say: (line: string) => void, options: BenchmarkOptions): Promise<object>
}

/** Runs `body` `repeats` times after one uncounted run; the median in seconds. */
export function medianSeconds(repeats: number, body: () => void): number {
  body()
  return median(
    Array.from({ length: repeats }, () => {
      const start = performance.now()
      body()
      return (performance.now() - start) / 1000
    }),
  )
}

/** The middle one. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** @throws when the condition does not hold: a benchmark checks before it times */
export function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`Benchmark check failed: ${what}`)
}

/** Rounds to four significant digits, which is more than a noisy machine is good for. */
export const figure = (value: number): number => Number(value.toPrecision(4))
