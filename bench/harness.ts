import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os'

/** The machine that figures were measured on. */
export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
  /**
   * Mean number of processes that were ready to run in the minute before. Above a few tenths the machine was
   * not quiet.
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
  /** Number of images; each benchmark has its own default. */
  readonly count?: string
  /** A folder of circuits, NAME.pvc, that were compiled before. */
  readonly circuits?: string
  /** Names of what to measure, separated by commas. */
  readonly only?: string
  /** A folder of networks that `make-network.ts` wrote, which replace the trained ones. */
  readonly networks?: string
  /** Bits of precision of circuits for these networks. */
  readonly precision?: string
  /** RTT_MS,MBIT of a simulated link between client and service. */
  readonly link?: string
  /** Leaves out the run that measures the server's stages. */
  readonly brief?: boolean
  /** Measures large networks, too, which take minutes for an image. */
  readonly large?: boolean
}

/** A benchmark. It checks its results, then returns its figures. */
export interface Benchmark {
  readonly name: string
  readonly what: string
  /** @throws when a result is wrong, so that times of wrong results are not reported */
  run(say: (line: string) => void, options: BenchmarkOptions): Promise<object>
}

/** Runs `body` once uncounted, then `repeats` times. @returns the median in seconds */
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

/** The median. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** @throws when the condition does not hold */
export function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`Benchmark check failed: ${what}`)
}

/** Rounds to four significant digits, which is more than the precision of measurements. */
export const figure = (value: number): number => Number(value.toPrecision(4))
