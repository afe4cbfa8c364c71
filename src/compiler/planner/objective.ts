import type { Candidate } from './draft.ts'

/** What the user wants to be small. */
export type Objective = 'latency' | 'traffic' | 'keys'

/** Keys beyond this weigh ten times as much: whoever asks for low latency waits for their upload too, once. */
const COMFORTABLE_KEY_BYTES = 200e6

type Costed = Pick<Candidate, 'seconds' | 'keyBytes' | 'queryBytes'>

// Ties are broken by the other figures: a second, ten megabytes of keys and a megabyte of query weigh the same.
const objectives: Record<Objective, (candidate: Costed) => number> = {
  latency: ({ seconds, keyBytes, queryBytes }) =>
    seconds + keyBytes / 1e9 + Math.max(0, keyBytes - COMFORTABLE_KEY_BYTES) / 1e8 + queryBytes / 1e8,
  traffic: ({ seconds, keyBytes, queryBytes }) => queryBytes / 1e6 + seconds / 10 + keyBytes / 1e9,
  keys: ({ seconds, keyBytes }) => keyBytes / 1e7 + seconds / 10,
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
