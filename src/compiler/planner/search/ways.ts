import type { RefreshChoice } from '../../choices.ts'
import type { Graph } from '../../graph/graph.ts'
import type { Candidate, FittingCandidate } from './candidate.ts'
import { type PlanRequest, searchPlans } from './search.ts'
import { searchRefreshed } from './search-refreshed.ts'
import { searchRestored } from './search-restored.ts'

/** Figures of a plan that was not taken. */
export interface OtherWay {
  /** Whether the client refreshes values. */
  readonly refreshes: boolean
  readonly ring: number
  /** Seconds of the server's evaluation, on one core. */
  readonly seconds: number
  /** Seconds of all refreshes: the work of both sides, and the wait for the network. */
  readonly refreshSeconds: number
  readonly keyBytes: number
  /** Bytes of query and refreshes, without the answer. */
  readonly trafficBytes: number
}

/**
 * A search that starts when its candidates are first asked for. It throws DEPTH_EXCEEDED if none fits.
 *
 * @param mostRestorationMemory bytes of an engine's memory that keys and the transforms' constants may take
 *   where the server restores levels
 */
export type Way = (mostRestorationMemory: number) => Iterable<FittingCandidate>

/**
 * The ways to run a network that the choice allows: in one shot, with refreshes, or both; or with levels that
 * the server restores.
 */
export function waysFor(graph: Graph, choice: RefreshChoice, request: PlanRequest): readonly Way[] {
  const oneShot: Way = () => searchPlans(graph, request)
  const refreshed: Way = () => searchRefreshed(graph, request)
  if (choice === 'client') return [refreshed]
  if (choice === 'server')
    return [(most) => searchRestored(graph, { ...request, mostRestorationMemory: most })]
  // Only the simd engine runs refreshes.
  return choice === 'never' || request.target.name !== 'simd' ? [oneShot] : [oneShot, refreshed]
}

/**
 * The figures of the plan that was not taken. Undefined when neither plan has refreshes, because the whole
 * network fits between two of them.
 */
export function otherWay(other: Candidate, taken: Candidate): OtherWay | undefined {
  if (other.refreshBytes + taken.refreshBytes === 0) return undefined
  const { plan, seconds, refreshSeconds, keyBytes, queryBytes, refreshBytes } = other
  return {
    refreshes: refreshBytes > 0,
    ring: plan.ring,
    seconds,
    refreshSeconds,
    keyBytes,
    trafficBytes: queryBytes + refreshBytes,
  }
}
