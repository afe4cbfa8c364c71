import { PolyVeilError } from '../../../errors/index.ts'
import type { Graph } from '../../graph/graph.ts'
import { ringsFor, usualRings } from '../modulus/rings.ts'
import { bestOfEach, type Emit, type Emitted, isRestored } from './emitted.ts'
import { oneShotInstead } from './one-shot-instead.ts'
import { type Obstacle, obstacleTo } from './restorable.ts'
import type { PlanRequest } from './search.ts'
import { waysFor } from './ways.ts'

/** The plan for a client that is offline between query and answer. */
export interface OfflinePlan {
  readonly taken: Emitted
  /** Why its way was taken, in words. */
  readonly why: string
}

/**
 * Plans one shot, which has no assumption of its own. Levels that the server restores are planned only where
 * one shot does not fit.
 *
 * @param named the rings to consider in both ways; by default the usual ones of each way
 * @throws DEPTH_EXCEEDED when no way fits. Where the server cannot restore levels, it is the error of one
 *   shot, and its remedy names the obstacle
 * @throws CONFIG_INVALID as `ringsFor`
 */
export function offlinePlan(
  graph: Graph,
  named: readonly number[] | undefined,
  request: Omit<PlanRequest, 'rings'>,
  emit: Emit,
): OfflinePlan {
  const fitting = (rings: readonly number[]): number[] =>
    ringsFor(graph, named ?? rings, request.batch, request.target)
  const obstacle = obstacleTo(request, named ?? usualRings('server'))
  if (obstacle) return oneShotOnly(graph, { ...request, rings: fitting(usualRings('never')) }, emit, obstacle)
  const rings = fitting([...new Set([...usualRings('never'), ...usualRings('server')])])
  const oneShotRings = rings.filter((ring) => (named ?? usualRings('never')).includes(ring))
  const ways = [
    ...(oneShotRings.length > 0 ? waysFor(graph, 'never', { ...request, rings: oneShotRings }) : []),
    ...waysFor(graph, 'server', { ...request, rings }),
  ]
  const [found] = bestOfEach(ways, request, emit)
  const taken = oneShotInstead(graph, request, found, emit)
  return { taken, why: isRestored(taken) ? restoredInWords(oneShotRings, request.precisionBits) : ONE_SHOT }
}

function oneShotOnly(graph: Graph, request: PlanRequest, emit: Emit, obstacle: Obstacle): OfflinePlan {
  try {
    const [taken] = bestOfEach(waysFor(graph, 'never', request), request, emit)
    return { taken, why: ONE_SHOT }
  } catch (error) {
    if (!(error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED')) throw error
    const remedy =
      `${obstacle.message}, so one shot is the only way while the client is offline. ${obstacle.remedy}, ` +
      'or do what the message says would help.'
    throw new PolyVeilError(error.code, error.message, error.facts, { cause: error, remedy })
  }
}

const OFFLINE = 'the client may be offline between query and answer (--offline-client)'

const ONE_SHOT = `one shot is taken, because it fits: ${OFFLINE}, and levels that the server restores would need an assumption of their own`

/** @param rings those of one shot that hold the image */
function restoredInWords(rings: readonly number[], precisionBits: number): string {
  const where =
    rings.length > 0
      ? `ring ${rings.join(', ')} at ${precisionBits} bits of precision`
      : `ring ${usualRings('never').at(-1)}, whose slots do not hold the image`
  return `the server restores levels: ${OFFLINE}, and one shot does not fit ${where}`
}
