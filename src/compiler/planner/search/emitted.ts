import { PolyVeilError } from '../../../errors/index.ts'
import { MOST_PLANNED_BYTES } from '../../../schedule/limits.ts'
import type { LoweredCircuit } from '../../lowered-circuit.ts'
import type { FittingCandidate } from './candidate.ts'
import { type Asked, imprecise } from './no-plan.ts'
import type { Way } from './ways.ts'

/** A candidate with its circuit. */
export interface Emitted {
  readonly candidate: FittingCandidate
  readonly lowered: LoweredCircuit
}

/** Whether the server restores levels. */
export const isRestored = ({ lowered }: Emitted): boolean => lowered.body.raise !== undefined

/** Lowers a candidate; undefined when a message would outgrow its modulus. */
export type Emit = (candidate: FittingCandidate) => LoweredCircuit | undefined

/**
 * For each way, the best candidate whose circuit has the requested precision, and fits an engine's kernel
 * memory where the server restores levels. Where none fits, it is the circuit that needs the least: its plan
 * says that no engine can have so much. A circuit can be less precise than its draft, so figures are only
 * stated of candidates that were lowered. A way is planned when its candidate is asked for.
 *
 * @throws DEPTH_EXCEEDED when there is none: the error of the most precise way, if precision is what all of
 *   them lack, and otherwise that of the last one
 */
export function* bestOfEach(ways: readonly Way[], asked: Asked, emit: Emit): Iterable<Emitted> {
  let found = 0
  const failures: PolyVeilError[] = []
  for (const way of ways) {
    const outcome = bestOrError(way, asked, emit)
    if (outcome instanceof PolyVeilError) {
      failures.push(outcome)
    } else {
      found++
      yield outcome
    }
  }
  if (found === 0) throw mostPrecise(failures)
}

/**
 * The error with the best precision; the last one where some way has no precision, because it is too deep.
 */
function mostPrecise(failures: readonly PolyVeilError[]): PolyVeilError | undefined {
  const bits = ({ facts }: PolyVeilError): number => Number(facts.bestPrecisionBits)
  return failures.reduce((best, failure) => (bits(best) > bits(failure) ? best : failure))
}

function bestOrError(way: Way, asked: Asked, emit: Emit): Emitted | PolyVeilError {
  try {
    return bestOf(way, asked, emit)
  } catch (error) {
    if (error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED') return error
    throw error
  }
}

/** Number of searches of a way, each with less memory for keys and transforms than the one before. */
const MOST_SEARCHES = 3

function bestOf(way: Way, asked: Asked, emit: Emit): Emitted {
  let found = firstPrecise(way(Infinity), asked, emit)
  for (let search = 2; search <= MOST_SEARCHES && 'smallest' in found; search++) {
    const next = withLessMemory(found, way, asked, emit)
    if (next === undefined) break
    found = 'smallest' in next ? { ...next, smallest: smallerOf(next.smallest, found.smallest) } : next
  }
  return 'smallest' in found ? found.smallest : found
}

/** The outcome of a search with less memory; undefined when it has no precise circuit. */
function withLessMemory(
  { mostRestorationMemory: most }: TooLarge,
  way: Way,
  asked: Asked,
  emit: Emit,
): Emitted | TooLarge | undefined {
  if (most <= 0) return undefined
  try {
    return firstPrecise(way(most), asked, emit)
  } catch (error) {
    if (error instanceof PolyVeilError) return undefined
    throw error
  }
}

const memoryOf = ({ lowered }: Emitted): number => lowered.kernelBytes

const smallerOf = (a: Emitted, b: Emitted | undefined): Emitted =>
  b === undefined || memoryOf(a) < memoryOf(b) ? a : b

/**
 * The smallest of the circuits, none of which fits an engine's memory, and memory for keys and transforms
 * that would fit.
 */
interface TooLarge {
  readonly smallest: Emitted
  readonly mostRestorationMemory: number
}

/** @throws DEPTH_EXCEEDED when no circuit has the precision */
function firstPrecise(candidates: Iterable<FittingCandidate>, asked: Asked, emit: Emit): Emitted | TooLarge {
  let best = -Infinity
  let mostRestorationMemory = Infinity
  let smallest: Emitted | undefined
  for (const candidate of candidates) {
    if (candidate.restorationMemory > mostRestorationMemory) continue
    const lowered = emit(candidate)
    const reached = lowered?.estimate.precisionBits ?? -Infinity
    best = Math.max(best, reached)
    if (lowered === undefined || reached < asked.precisionBits) continue
    const emitted = { candidate, lowered }
    const excess = memoryOf(emitted) - MOST_PLANNED_BYTES
    if (candidate.restorationMemory === 0 || excess <= 0) return emitted
    smallest = smallerOf(emitted, smallest)
    mostRestorationMemory = candidate.restorationMemory - excess
  }
  if (smallest === undefined) throw imprecise(asked, best)
  return { smallest, mostRestorationMemory }
}
