import { PolyVeilError } from '../../../errors/index.ts'
import type { Graph } from '../../graph/graph.ts'
import { bestOfEach, type Emit, type Emitted, isRestored } from './emitted.ts'
import type { PlanRequest } from './search.ts'
import { waysFor } from './ways.ts'

/**
 * A network may fit between two restorations. Its plan then has levels and keys for restorations, and
 * restores nothing. It is planned anew in one shot, in the same ring.
 *
 * @returns the plan itself where levels are restored, or where one shot is less precise
 */
export function oneShotInstead(
  graph: Graph,
  request: Omit<PlanRequest, 'rings'>,
  taken: Emitted,
  emit: Emit,
): Emitted {
  const { ring, segment } = taken.candidate.plan
  if (segment?.restoration === undefined || isRestored(taken)) return taken
  try {
    const [oneShot] = bestOfEach(waysFor(graph, 'never', { ...request, rings: [ring] }), request, emit)
    return oneShot
  } catch (error) {
    if (error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED') return taken
    throw error
  }
}
