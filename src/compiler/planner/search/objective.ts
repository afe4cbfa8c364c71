import type { Candidate } from './candidate.ts'

/** What the user wants to be small. */
export type Objective = 'latency' | 'traffic' | 'keys'

/**
 * Keys beyond this weigh ten times as much: whoever asks for low latency waits for their upload too, once.
 */
const COMFORTABLE_KEY_BYTES = 200e6

type Costed = Pick<Candidate, 'seconds' | 'refreshSeconds' | 'keyBytes' | 'queryBytes' | 'refreshBytes'>

// Ties are broken by the other figures: a second, ten megabytes of keys and a megabyte of query weigh the
// same.
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

/** How bad a candidate is; lower is better. */
export const costOf = (objective: Objective, candidate: Costed): number => objectives[objective](candidate)

/** The best of candidates; undefined of none. */
export function cheapest<C extends Costed>(candidates: readonly C[], objective: Objective): C | undefined {
  const cost = objectives[objective]
  return candidates.reduce<C | undefined>(
    (best, candidate) => (best === undefined || cost(candidate) < cost(best) ? candidate : best),
    undefined,
  )
}
