import { arch, cpus, platform, release, totalmem } from 'node:os'

/** The machine that figures were measured on; they mean little without it. */
export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
}

export const machine = (): Machine => ({
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryBytes: totalmem(),
  system: `${platform()} ${release()} ${arch()}`,
  node: process.version,
})

export interface BenchmarkOptions {
  /** A folder of test images beyond the bundled ones. */
  readonly images?: string
}

/** A benchmark: checks its results first, then returns its figures. */
export interface Benchmark {
  readonly name: string
  readonly what: string
  /** @throws when a result is wrong; a wrong result has no speed */
  run(say: (line: string) => void, options: BenchmarkOptions): Promise<object>
}

/** Runs `body` `repeats` times after one uncounted run; the median in seconds. */
export function medianSeconds(repeats: number, body: () => void): number {
  body()
  const times = Array.from({ length: repeats }, () => {
    const start = performance.now()
    body()
    return (performance.now() - start) / 1000
  })
  return times.sort((a, b) => a - b)[Math.floor(repeats / 2)]
}

/** @throws when the condition does not hold: a benchmark checks before it times */
export function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`Benchmark check failed: ${what}`)
}

/** Rounds to four significant digits, which is more than a noisy machine is good for. */
export const figure = (value: number): number => Number(value.toPrecision(4))
