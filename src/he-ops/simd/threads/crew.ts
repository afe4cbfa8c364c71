import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { PolyVeilError } from '../../../errors/index.ts'
import { ExecutionStopped } from '../../executor.ts'
import { type Kernels, kernelModule } from '../../kernels/kernels.ts'
import type { Program } from '../program.ts'
import { Barrier, VERDICT_FAILED, VERDICT_STOP } from './barrier.ts'
import type { CrewMember, Share } from './crew-worker.ts'
import { type PhaseRange, runShares } from './shares.ts'

export interface RunControl {
  /** Called after each phase with the operations done. */
  readonly onProgress?: (done: number) => void
  /** Asked after each phase; true ends the run with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
}

/** The threads that run programs on one memory: the calling one, and workers for the other shares. */
export class Crew {
  readonly threads: number
  readonly #kernels: Kernels
  readonly #pool: Piscina | undefined

  private constructor(threads: number, kernels: Kernels, pool: Piscina | undefined) {
    this.threads = threads
    this.#kernels = kernels
    this.#pool = pool
  }

  /** @param threads at least 1, the calling one included */
  static async create(memory: WebAssembly.Memory, kernels: Kernels, threads: number): Promise<Crew> {
    if (threads === 1) return new Crew(1, kernels, undefined)
    const member: CrewMember = { memory, module: await kernelModule() }
    const pool = new Piscina({
      filename: workerFile(),
      minThreads: threads - 1,
      maxThreads: threads - 1,
      workerData: member,
    })
    return new Crew(threads, kernels, pool)
  }

  /**
   * Runs a stretch of a program that was built for this number of threads, by default all of it. The calling thread
   * computes and is deaf meanwhile. One program at a time: the memory is the program's.
   *
   * @throws ExecutionStopped, WORKER_LOST
   */
  async run(
    program: Program,
    { onProgress, shouldStop }: RunControl = {},
    range: PhaseRange = { from: 0, to: program.progress.length },
  ): Promise<void> {
    const barrier = new Barrier(this.threads)
    const others = this.#start(program, barrier, range)
    let done = 0
    try {
      const verdict = runShares(program, this.#kernels, barrier, 0, range, (phase) => {
        done = program.progress[phase]
        onProgress?.(done)
        if (shouldStop?.()) barrier.stop()
      })
      await others
      if (verdict === VERDICT_STOP) throw new ExecutionStopped(done)
      if (verdict === VERDICT_FAILED) throw new PolyVeilError('WORKER_LOST', 'A thread of the engine failed')
    } finally {
      // Nobody may touch the memory any more once this function is left.
      await others.catch(() => {})
    }
  }

  async close(): Promise<void> {
    await this.#pool?.close()
  }

  #start(program: Program, barrier: Barrier, range: PhaseRange): Promise<unknown> {
    const shares = Array.from({ length: this.threads - 1 }, (_, i): Share => {
      return { program, barrier: barrier.shared, thread: i + 1, range }
    })
    const all = Promise.all(shares.map((share) => this.#pool!.run(share)))
    // It is waited for below; until then a failure is no unhandled one.
    all.catch(() => {})
    return all
  }
}

/** The worker module beside this one: TypeScript in the source tree, JavaScript in the build. */
function workerFile(): string {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./crew-worker.${ending}`, import.meta.url))
}
