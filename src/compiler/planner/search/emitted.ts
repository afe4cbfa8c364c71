import { PolyVeilError } from '../../../errors/index.ts'
import { MOST_ENGINE_BYTES } from '../../../schedule/limits.ts'
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
 * Most memory of an engine that a circuit with restorations is planned for. The engine takes a little more
 * than the stated memory.
 */
const MOST_PLANNED_BYTES = 0.98 * MOST_ENGINE_BYTES

/**
 * For each way, the best candidate whose circuit has the requested precision, and fits an engine's memory
 * where the server restores levels. Where none fits, it is the circuit that needs the least memory: its plan
 * says that no engine can have so much. A circuit can be less precise than its draft, so figures are only
 * stated of candidates that were lowered.
 *
 * @throws DEPTH_EXCEEDED when there is none: the error of the last way
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

function bestOf(way: Way, precisionBits: number, emit: Emit): Emitted {
  let found = firstPrecise(way(Infinity), precisionBits, emit)
  for (let search = 2; search <= MOST_SEARCHES && 'smallest' in found; search++) {
    const next = withFewerKeys(found, way, precisionBits, emit)
    if (next === undefined) break
    found = 'smallest' in next ? { ...next, smallest: smallerOf(next.smallest, found.smallest) } : next
  }
  return 'smallest' in found ? found.smallest : found
}

/** The outcome of a search with less memory for keys; undefined when it has no precise circuit. */
function withFewerKeys(
  { mostKeyMemory }: TooLarge,
  way: Way,
  precisionBits: number,
  emit: Emit,
): Emitted | TooLarge | undefined {
  if (mostKeyMemory <= 0) return undefined
  try {
    return firstPrecise(way(mostKeyMemory), precisionBits, emit)
  } catch (error) {
    if (error instanceof PolyVeilError) return undefined
    throw error
  }
}

const memoryOf = ({ lowered }: Emitted): number => lowered.estimate.memoryBytes

const smallerOf = (a: Emitted, b: Emitted | undefined): Emitted =>
  b === undefined || memoryOf(a) < memoryOf(b) ? a : b

/**
 * The smallest of the circuits, none of which fits an engine's memory, and memory for keys that would fit.
 */
interface TooLarge {
  readonly smallest: Emitted
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
  let smallest: Emitted | undefined
  for (const candidate of candidates) {
    if (candidate.keyMemory > mostKeyMemory) continue
    const lowered = emit(candidate)
    const reached = lowered?.estimate.precisionBits ?? -Infinity
    best = Math.max(best, reached)
    if (lowered === undefined || reached < precisionBits) continue
    const emitted = { candidate, lowered }
    const excess = memoryOf(emitted) - MOST_PLANNED_BYTES
    if (candidate.keyMemory === 0 || excess <= 0) return emitted
    smallest = smallerOf(emitted, smallest)
    mostKeyMemory = candidate.keyMemory - excess
  }
  if (smallest === undefined) throw imprecise(precisionBits, best)
  return { smallest, mostKeyMemory }
}
