import { availableParallelism } from 'node:os'
import { ThreadPool } from '../../src/he-ops/simd/threads/thread-pool.ts'
import { check, figure, median } from '../harness.ts'
import { type BundledProgram, bundledProgram } from './bundled-program.ts'

const RUNS = 9

/**
 * The bundled digits network on one thread and on several, in turns. The results are compared bit for bit
 * before they are timed.
 */
export async function compareThreads() {
  const bundled = await bundledProgram('digits')
  const counts = [1, 2, 4].filter((threads) => threads === 1 || threads <= availableParallelism())
  const setUps = []
  for (const threads of counts) setUps.push(await SetUp.create(bundled, threads))
  let first: Buffer | undefined
  for (const setUp of setUps) {
    // The first run is not counted, because code is still being compiled.
    await setUp.run()
    const bits = setUp.result()
    first ??= bits
    check(bits.equals(first), `${setUp.threads} threads give the bits of one`)
  }
  for (let run = 0; run < RUNS; run++) for (const setUp of setUps) setUp.times.push(await setUp.run())
  const [single] = setUps
  const rows = setUps.map(({ threads, times }) => ({
    threads,
    executeSeconds: figure(median(times)),
    speedup: figure(median(single.times) / median(times)),
  }))
  for (const setUp of setUps) await setUp.close()
  return { network: 'digits', rows }
}

/** A program for a number of threads, with its threads. */
class SetUp {
  readonly threads: number
  readonly times: number[] = []
  readonly #bundled: BundledProgram
  readonly #pool: ThreadPool
  readonly #program: ReturnType<BundledProgram['build']>

  private constructor(bundled: BundledProgram, threads: number, pool: ThreadPool) {
    this.#bundled = bundled
    this.threads = threads
    this.#pool = pool
    this.#program = bundled.build(threads)
  }

  static async create(bundled: BundledProgram, threads: number): Promise<SetUp> {
    return new SetUp(bundled, threads, await ThreadPool.create(bundled.memory, bundled.kernels, threads))
  }

  /** @returns seconds of one execution */
  async run(): Promise<number> {
    this.#bundled.load(this.#program)
    const start = performance.now()
    await this.#pool.run(this.#program.program)
    return (performance.now() - start) / 1000
  }

  result(): Buffer {
    return this.#bundled.result(this.#program)
  }

  async close(): Promise<void> {
    this.#program.free()
    await this.#pool.close()
  }
}
