import { PolyVeilError } from '../../../errors/index.ts'
import type { LoweredCircuit } from '../../lowered-circuit.ts'
import type { FittingCandidate } from './candidate.ts'
import { imprecise } from './no-plan.ts'
import type { Way } from './ways.ts'

/** A candidate with its circuit. */
export interface Emitted {
  readonly candidate: FittingCandidate
  readonly lowered: LoweredCircuit
}

/** Lowers a candidate; undefined when a message would outgrow its modulus. */
type Emit = (candidate: FittingCandidate) => LoweredCircuit | undefined

/**
 * For each way, the best candidate whose circuit has the requested precision. A circuit can be less precise
 * than its draft, so figures are only stated of candidates that were lowered.
 *
 * @throws DEPTH_EXCEEDED when there is none: the error of the last way
 */
export function bestOfEach(ways: readonly Way[], precisionBits: number, emit: Emit): Emitted[] {
  const failures: PolyVeilError[] = []
  const found = ways.flatMap((way) => {
    try {
      return [firstPrecise(way(), precisionBits, emit)]
    } catch (error) {
      if (!(error instanceof PolyVeilError) || error.code !== 'DEPTH_EXCEEDED') throw error
      failures.push(error)
      return []
    }
  })
  if (found.length === 0) throw failures.at(-1)
  return found
}

function firstPrecise(candidates: Iterable<FittingCandidate>, precisionBits: number, emit: Emit): Emitted {
  let best = -Infinity
  for (const candidate of candidates) {
    const lowered = emit(candidate)
    const reached = lowered?.estimate.precisionBits ?? -Infinity
    if (lowered !== undefined && reached >= precisionBits) return { candidate, lowered }
    best = Math.max(best, reached)
  }
  throw imprecise(precisionBits, best)
}
