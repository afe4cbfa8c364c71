import type { Objective } from '../../choices.ts'
import type { Candidate } from './candidate.ts'

/**
 * Keys beyond this size weigh ten times as much for `latency`, because a client first waits for their upload.
 */
const COMFORTABLE_KEY_BYTES = 200e6

type Costed = Pick<Candidate, 'seconds' | 'refreshSeconds' | 'keyBytes' | 'queryBytes' | 'refreshBytes'>

// Each objective includes the other figures at a low weight, to break ties.
const objectives: Record<Objective, (candidate: Costed) => number> = {
  latency: ({ seconds, refreshSeconds, keyBytes, queryBytes }) =>
    seconds +
    refreshSeconds +
    keyBytes / 1e9 +
    Math.max(0, keyBytes - COMFORTABLE_KEY_BYTES) / 1e8 +
    queryBytes / 1e8,
  traffic: ({ seconds, refreshSeconds, keyBytes, queryBytes, refreshBytes }) =>
    (queryBytes + refreshBytes) / 1e6 + (seconds + refreshSeconds) / 10 + keyBytes / 1e9,
  keys: ({ seconds, refreshSeconds, keyBytes }) => keyBytes / 1e7 + (seconds + refreshSeconds) / 10,
}

/** Cost of a candidate by an objective; lower is better. */
export const costOf = (objective: Objective, candidate: Costed): number => objectives[objective](candidate)

/** The candidate of the lowest cost; undefined when there is none. */
export function cheapest<C extends Costed>(candidates: readonly C[], objective: Objective): C | undefined {
  const cost = objectives[objective]
  return candidates.reduce<C | undefined>(
    (best, candidate) => (best === undefined || cost(candidate) < cost(best) ? candidate : best),
    undefined,
  )
}
