import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import type { Graph } from '../../graph/graph.ts'
import type { FittingCandidate, Segment } from './candidate.ts'
import type { PlanRequest } from './search.ts'
import { type SpacesOf, searchSegments } from './search-segments.ts'

/** Approximate log2 of the refresh level's modulus. The exact modulus follows from the circuit. */
const USUAL_REFRESH_BITS = 76
const MOST_SPECIAL_PRIMES = 6

/**
 * Largest number of bits by which primes of levels are smaller than they could be. Smaller primes are not
 * worth it.
 */
const MOST_BITS_LESS = 4

/**
 * Drafts circuits whose client refreshes values, as `searchSegments` says.
 *
 * @throws DEPTH_EXCEEDED when no candidate fits
 */
export const searchRefreshed = (graph: Graph, request: PlanRequest): FittingCandidate[] =>
  searchSegments(graph, request, refreshedSpaces)

/** The segments of a ring for refreshes by the client. Copies of the image would gain nothing. */
const refreshedSpaces: SpacesOf = (_graph, ring, request) => [
  { ring, copies: 1, segments: segmentsWithin(ring, request) },
]

/**
 * The segments that fit the modulus beside the refresh level and each number of special primes: as many
 * levels of the largest primes as fit, and more levels of primes that are a little smaller. The segments with
 * most levels come first.
 */
function segmentsWithin(ring: number, { target, maxPrimeBits }: PlanRequest): Segment[] {
  const most = Math.min(target.primeSizes.most, maxPrimeBits)
  const room = MAX_LOG_QP[ring] - USUAL_REFRESH_BITS
  const segments = new Map<string, Segment>()
  for (let special = 1; special <= MOST_SPECIAL_PRIMES; special++) {
    const bits = room - special * most
    for (let levels = Math.max(2, Math.floor(bits / most)); ; levels++) {
      const primeBits = Math.min(most, Math.floor(bits / levels))
      if (primeBits < most - MOST_BITS_LESS) break
      segments.set(`${levels} ${primeBits}`, { levels, primeBits })
    }
  }
  return [...segments.values()].sort((a, b) => b.levels - a.levels || b.primeBits - a.primeBits)
}
