import type { Kernels } from '../../kernels/kernels.ts'
import { type Program, runPiece } from '../program/program.ts'
import { type Barrier, VERDICT_RUN, type Verdict } from './barrier.ts'
import type { WorkStealing } from './work-stealing.ts'

/** Phases `from` .. `to - 1`. */
export interface PhaseRange {
  readonly from: number
  readonly to: number
}

/**
 * Runs one thread's share of some phases: its pieces of each phase, then the barrier.
 *
 * @param claims of this thread in this run
 * @param beforeBarrier called after each phase with its index
 * @returns the verdict that ended the run, or `VERDICT_RUN` after the last phase
 */
export function runShares(
  program: Program,
  kernels: Kernels,
  barrier: Barrier,
  claims: WorkStealing,
  { from, to }: PhaseRange,
  beforeBarrier: (phase: number) => void = () => {},
): Verdict {
  try {
    for (let phase = from; phase < to; phase++) {
      claims.takeAll((piece) => runPiece(program, kernels, phase, piece))
      beforeBarrier(phase)
      const verdict = barrier.arrive()
      if (verdict !== VERDICT_RUN) return verdict
    }
    return VERDICT_RUN
  } catch (error) {
    barrier.fail()
    throw error
  }
}
