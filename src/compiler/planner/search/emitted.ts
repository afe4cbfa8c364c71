import { PolyVeilError } from '../../../errors/index.ts'
import { MOST_ENGINE_BYTES } from '../../../schedule/limits.ts'
import type { LoweredCircuit } from '../../lowered-circuit.ts'
import type { FittingCandidate } from './candidate.ts'
import { imprecise, keysTooLarge } from './no-plan.ts'
import type { Way } from './ways.ts'

/** A candidate with its circuit. */
export interface Emitted {
  readonly candidate: FittingCandidate
  readonly lowered: LoweredCircuit
}

/** Lowers a candidate; undefined when a message would outgrow its modulus. */
type Emit = (candidate: FittingCandidate) => LoweredCircuit | undefined

/**
 * Most memory of an engine that a circuit with restorations is planned for. The engine takes a little more
 * than the stated memory.
 */
const MOST_PLANNED_BYTES = 0.98 * MOST_ENGINE_BYTES

/**
 * For each way, the best candidate whose circuit has the requested precision, and fits an engine's memory
 * where the server restores levels. A circuit can be less precise than its draft, so figures are only stated
 * of candidates that were lowered.
 *
 * @throws DEPTH_EXCEEDED when there is none: the error of the last way
 * @throws TOO_LARGE when circuits with restorations are precise, and none of them fits an engine's memory
 */
export function bestOfEach(ways: readonly Way[], precisionBits: number, emit: Emit): Emitted[] {
  const failures: PolyVeilError[] = []
  const found = ways.flatMap((way) => {
    try {
      return [bestOf(way, precisionBits, emit)]
    } catch (error) {
      if (!(error instanceof PolyVeilError) || error.code !== 'DEPTH_EXCEEDED') throw error
      failures.push(error)
      return []
    }
  })
  if (found.length === 0) throw failures.at(-1)
  return found
}

/** Number of searches of a way, each with less memory for keys than the one before. */
const MOST_SEARCHES = 3

/**
 * @throws TOO_LARGE when no precise circuit of the last search fits an engine's memory
 */
function bestOf(way: Way, precisionBits: number, emit: Emit): Emitted {
  let mostKeyMemory = Infinity
  for (let search = 1; ; search++) {
    const found = firstPrecise(way(mostKeyMemory), precisionBits, emit)
    if ('lowered' in found) return found
    if (search === MOST_SEARCHES) throw keysTooLarge(found.tooLarge)
    mostKeyMemory = found.mostKeyMemory
  }
}

/** Candidates whose circuits do not fit an engine's memory, and the memory for keys that would. */
interface TooLarge {
  readonly tooLarge: readonly FittingCandidate[]
  readonly mostKeyMemory: number
}

/** @throws DEPTH_EXCEEDED when no circuit has the precision */
function firstPrecise(
  candidates: Iterable<FittingCandidate>,
  precisionBits: number,
  emit: Emit,
): Emitted | TooLarge {
  let best = -Infinity
  let mostKeyMemory = Infinity
  const tooLarge: FittingCandidate[] = []
  for (const candidate of candidates) {
    if (candidate.keyMemory > mostKeyMemory) continue
    const lowered = emit(candidate)
    const reached = lowered?.estimate.precisionBits ?? -Infinity
    best = Math.max(best, reached)
    if (lowered === undefined || reached < precisionBits) continue
    const excess = lowered.estimate.memoryBytes - MOST_PLANNED_BYTES
    if (candidate.keyMemory === 0 || excess <= 0) return { candidate, lowered }
    tooLarge.push(candidate)
    mostKeyMemory = candidate.keyMemory - excess
  }
  if (tooLarge.length > 0) return { tooLarge, mostKeyMemory }
  throw imprecise(precisionBits, best)
}
