import { PolyVeilError } from '../../../errors/index.ts'
import type { Graph } from '../../graph/graph.ts'
import type { Candidate, FittingCandidate } from './candidate.ts'
import { costOf } from './objective.ts'
import { type PlanRequest, searchPlans } from './search.ts'
import { searchRefreshed } from './search-refreshed.ts'

/** Whether the client refreshes values. With `auto` it does where that costs less for the objective. */
export type RefreshChoice = 'auto' | 'never' | 'always'

/** Figures of a plan that was not taken, from the draft of its circuit. */
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
 * Candidates in one shot and with refreshes, as far as the choice allows them and they fit.
 *
 * @returns the best for the objective first
 * @throws DEPTH_EXCEEDED when there is none
 */
export function searchWays(graph: Graph, choice: RefreshChoice, request: PlanRequest): FittingCandidate[] {
  if (choice === 'always') return searchRefreshed(graph, request)
  // Only the simd engine runs refreshes.
  if (choice === 'never' || request.target.name !== 'simd') return searchPlans(graph, request)
  const oneShot = ifAnyFits(() => searchPlans(graph, request))
  if (oneShot === undefined) return searchRefreshed(graph, request)
  const refreshed = ifAnyFits(() => searchRefreshed(graph, request)) ?? []
  const cost = (candidate: Candidate): number => costOf(request.objective, candidate)
  return [...oneShot, ...refreshed].sort((a, b) => cost(a) - cost(b))
}

function ifAnyFits(search: () => FittingCandidate[]): FittingCandidate[] | undefined {
  try {
    return search()
  } catch (error) {
    if (error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED') return undefined
    throw error
  }
}

/**
 * The best plan of the other search. Undefined when there is none, or when neither plan has refreshes,
 * because the whole network fits between two of them.
 */
export function otherWay(candidates: readonly FittingCandidate[], taken: Candidate): OtherWay | undefined {
  const other = candidates.find(({ refresh }) => (refresh === undefined) !== (taken.refresh === undefined))
  if (other === undefined || other.refreshBytes + taken.refreshBytes === 0) return undefined
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
