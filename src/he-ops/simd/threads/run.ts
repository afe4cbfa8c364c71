import type { SimdContext } from '../context.ts'
import { type Program, ProgramBuilder, type ProgramSizes, runPiece } from '../program/program.ts'
import type { PhaseRange } from './shares.ts'
import type { RunControl } from './thread-pool.ts'

/** A program with memory of its own. */
export interface LinkedProgram {
  readonly program: Program
  /** Bytes of that memory, by use. */
  readonly sizes: ProgramSizes
  /** Frees the memory; the program must not run any more. */
  free(): void
}

/**
 * Builds a program twice: first to measure the memory that it needs, then in that memory.
 *
 * @param threads that will run the program
 * @param scratchBytes scratch memory of each piece of a phase
 * @param emit adds the phases; it must do the same both times
 * @throws TOO_LARGE when the memory cannot be allocated, before anything has run; errors of `emit`, after
 *   which no memory is taken
 */
export function linkProgram(
  context: SimdContext,
  threads: number,
  scratchBytes: number,
  emit: (builder: ProgramBuilder) => void,
): LinkedProgram {
  const { heap } = context
  const draft = new ProgramBuilder(threads, scratchBytes)
  emit(draft)
  const { sizes } = draft
  const base = heap.allocate(sizes.arena + sizes.scratch + sizes.tables)
  const arena = base
  const scratch = arena + sizes.arena
  const tables = scratch + sizes.scratch
  const builder = new ProgramBuilder(threads, scratchBytes, {
    arena,
    scratch,
    tables,
    sizes,
    buffer: heap.memory.buffer,
    far: heap.far.chunks,
  })
  try {
    emit(builder)
  } catch (error) {
    heap.free(base)
    throw error
  }
  return { program: builder.finish(), sizes, free: () => heap.free(base) }
}

/** Runs programs that were built for its number of threads. */
export interface ProgramRunner {
  readonly threads: number
  /** @param range phases to run; by default all */
  run(program: Program, control?: RunControl, range?: PhaseRange): Promise<void>
}

/** Runs programs of one thread on the calling thread; a run cannot be stopped. */
export const inlineRunner = (context: SimdContext): ProgramRunner => ({
  threads: 1,
  run: async (program, _control, range) => runProgram(program, context, range),
})

/** Runs a program that was linked for one thread, or some of its phases, on the calling thread. */
export function runProgram(
  program: Program,
  context: SimdContext,
  { from, to }: PhaseRange = { from: 0, to: program.progress.length },
): void {
  for (let phase = from; phase < to; phase++) runPiece(program, context.kernels, phase, 0)
}
