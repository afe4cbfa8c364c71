import type { LayerReport, PlanReport } from '../../../compiler/index.ts'

/** Who brings levels back during an inference. */
export type Way = 'nobody' | 'client' | 'server'

export function wayOf({ rounds, restoration }: PlanReport): Way {
  if (restoration) return 'server'
  return rounds.length > 0 ? 'client' : 'nobody'
}

/** Number of a layer's ciphertexts whose levels are brought back. */
export const renewedIn = ({ refreshes, restorations }: LayerReport): number => refreshes + restorations
