import { workerData } from 'node:worker_threads'
import { instantiateKernels } from '../../kernels/kernels.ts'
import { type Program, piecesFor } from '../program/program.ts'
import { Barrier } from './barrier.ts'
import { type PhaseRange, runShares } from './shares.ts'
import { WorkStealing } from './work-stealing.ts'

// A thread of the pool. It has the memory, and no information about its contents.

/** Start data of a thread of the pool. */
export interface PoolMember {
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

const { memory, module } = workerData as PoolMember
const kernels = await instantiateKernels(memory, module)

export default function share({ program, barrier: shared, claims, thread, range }: Share): void {
  const { threads } = program
  const barrier = new Barrier(threads, shared)
  barrier.join()
  runShares(program, kernels, barrier, new WorkStealing(thread, threads, piecesFor(threads), claims), range)
}
