import type { Kernels } from '../../kernels/kernels.ts'
import { type Program, runShare } from '../program.ts'
import { type Barrier, VERDICT_RUN, type Verdict } from './barrier.ts'

/** Phases `from` .. `to - 1`. */
export interface PhaseRange {
  readonly from: number
  readonly to: number
}

/**
 * One thread's part in a stretch of a program: its share of each phase, then the barrier.
 *
 * @param beforeBarrier told after each phase which one it was
 * @returns the verdict that ended the run, `VERDICT_RUN` at the stretch's end
 */
export function runShares(
  program: Program,
  kernels: Kernels,
  barrier: Barrier,
  thread: number,
  { from, to }: PhaseRange,
  beforeBarrier: (phase: number) => void = () => {},
): Verdict {
  try {
    for (let phase = from; phase < to; phase++) {
      runShare(program, kernels, phase, thread)
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
