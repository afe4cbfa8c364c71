import { PolyVeilError } from '../../../errors/index.ts'
import { ExecutionStopped } from '../../executor.ts'
import { type Kernels, kernelModule } from '../../kernels/kernels.ts'
import { type Program, piecesFor } from '../program/program.ts'
import { Barrier, VERDICT_FAILED, VERDICT_STOP } from './barrier.ts'
import type { Crew, CrewMember, Share } from './crew.ts'
import { type PhaseRange, runShares } from './shares.ts'
import { WorkStealing } from './work-stealing.ts'

/** A lost thread may never end. Its engine must not be used again. */
const GIVEN_UP_MILLISECONDS = 10_000

/** Callbacks of a run. An error that they throw ends the run and is rethrown. */
export interface RunControl {
  /** Called after each phase with the number of operations done; at the end with their total. */
  readonly onProgress?: (done: number) => void
  /** Asked after each phase; true ends the run with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
}

/** Threads that run programs on one memory: the calling thread and workers. */
export class ThreadPool {
  readonly threads: number
  readonly #kernels: Kernels
  readonly #crew: Crew | undefined

  private constructor(threads: number, kernels: Kernels, crew: Crew | undefined) {
    this.threads = threads
    this.#kernels = kernels
    this.#crew = crew
  }

  /** @param threads at least 1, the calling one included; in browsers more only where `clientThreads` says */
  static async create(memory: WebAssembly.Memory, kernels: Kernels, threads: number): Promise<ThreadPool> {
    if (threads === 1) return new ThreadPool(1, kernels, undefined)
    const member = { memory, module: await kernelModule() }
    return new ThreadPool(threads, kernels, await crewOf(member, threads - 1))
  }

  /**
   * Runs some phases, by default all, of a program that was built for this number of threads. The calling
   * thread computes, and handles no events once all threads have begun. Only one program may run at a time.
   * When this throws, the program's memory has no meaningful values.
   *
   * @throws ExecutionStopped, and errors of the threads; all threads have ended by then
   * @throws WORKER_LOST when a thread is lost. It may still write to the memory, which must not be used again
   */
  async run(
    program: Program,
    { onProgress, shouldStop }: RunControl = {},
    range: PhaseRange = { from: 0, to: program.progress.length },
  ): Promise<void> {
    const barrier = new Barrier(this.threads)
    const claims = new WorkStealing(0, this.threads, piecesFor(this.threads))
    const cancel = new AbortController()
    const shares = this.#start(
      { program, barrier: barrier.shared, claims: claims.shared, range },
      cancel.signal,
    )
    const others = Promise.all(shares)
    // Awaited below; until then a failure is no unhandled rejection.
    others.catch(() => {})
    let done = 0
    try {
      // A worker that is starting needs this thread to handle its events.
      const present = barrier.present().catch((error) => {
        cancel.abort()
        throw error
      })
      await Promise.race([present, others])
      const verdict = runShares(program, this.#kernels, barrier, claims, range, (phase) => {
        done = program.progress[phase]
        onProgress?.(done)
        if (shouldStop?.()) barrier.stop()
      })
      await others
      if (verdict === VERDICT_STOP) throw new ExecutionStopped(done)
      if (verdict === VERDICT_FAILED) throw new PolyVeilError('WORKER_LOST', 'A thread of the engine failed')
    } catch (error) {
      // Releases workers that wait for a thread that never began.
      barrier.fail()
      // No thread may use the memory after this function has ended, even when some have failed.
      await settledOrGivenUp(shares)
      throw error
    }
  }

  /** Ends the workers after the current run. */
  async close(): Promise<void> {
    await this.#crew?.close()
  }

  #start(run: Omit<Share, 'thread'>, signal: AbortSignal): Promise<void>[] {
    return Array.from({ length: this.threads - 1 }, (_, i) => {
      const share: Share = { ...run, thread: i + 1 }
      return this.#crew!.run(share, signal)
    })
  }
}

/** Waits until all have ended, or one of them has not ended for too long. */
async function settledOrGivenUp(shares: readonly Promise<void>[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, GIVEN_UP_MILLISECONDS)
  await Promise.race([Promise.allSettled(shares), promise])
  clearTimeout(timer)
}

async function crewOf(member: CrewMember, threads: number): Promise<Crew> {
  const isNode = globalThis.process?.versions?.node !== undefined
  if (isNode) return (await import('./node-crew.ts')).nodeCrew(member, threads)
  return (await import('./web-crew.ts')).webCrew(member, threads)
}
