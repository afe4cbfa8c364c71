import type { Kernels } from '../../kernels/kernels.ts'
import { type Program, piecesFor } from '../program/program.ts'
import { Barrier } from './barrier.ts'
import { type PhaseRange, runShares } from './shares.ts'
import { WorkStealing } from './work-stealing.ts'

/** Start data of a thread of a pool. */
export interface CrewMember {
  readonly memory: WebAssembly.Memory
  readonly module: WebAssembly.Module
}

/** A thread's part in one run. */
export interface Share {
  readonly program: Program
  /** The run's `Barrier.shared`. */
  readonly barrier: SharedArrayBuffer
  /** The run's `WorkStealing.shared`. */
  readonly claims: SharedArrayBuffer
  /** From 1 on; 0 is the calling thread. */
  readonly thread: number
  readonly range: PhaseRange
}

/** The threads of a pool beside the calling one: worker threads of Node, or Web Workers. */
export interface Crew {
  /**
   * Runs a share on one of the threads.
   *
   * @param signal withdraws a share that has not begun
   * @throws the share's error, or that of a thread that has failed or not started
   */
  run(share: Share, signal: AbortSignal): Promise<void>
  /** Ends the threads after the current run. */
  close(): Promise<void>
}

/** Runs a share on the calling thread. @param kernels on the memory of the program */
export function runShare({ program, barrier: shared, claims, thread, range }: Share, kernels: Kernels): void {
  const { threads } = program
  const barrier = new Barrier(threads, shared)
  barrier.join()
  runShares(program, kernels, barrier, new WorkStealing(thread, threads, piecesFor(threads), claims), range)
}
