import { workerData } from 'node:worker_threads'
import { instantiateKernels } from '../../kernels/kernels.ts'
import type { Program } from '../program.ts'
import { Barrier } from './barrier.ts'
import { type PhaseRange, runShares } from './shares.ts'

// A thread of the crew: it knows the memory and nothing of what lies there.

/** What a thread of the crew is started with. */
export interface CrewMember {
  readonly memory: WebAssembly.Memory
  readonly module: WebAssembly.Module
}

/** One thread's part in one run. */
export interface Share {
  readonly program: Program
  /** The run's `Barrier.shared`. */
  readonly barrier: SharedArrayBuffer
  /** 1 and up; 0 is the calling thread. */
  readonly thread: number
  readonly range: PhaseRange
}

const { memory, module } = workerData as CrewMember
const kernels = await instantiateKernels(memory, module)

export default function share({ program, barrier: shared, thread, range }: Share): void {
  const barrier = new Barrier(program.threads, shared)
  barrier.join()
  runShares(program, kernels, barrier, thread, range)
}
