import { MAX_LOG_QP } from '../../circuit/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { Graph } from '../graph/graph.ts'
import type { RotationStrategy } from '../lowering/strategy.ts'
import { insertRepacks } from '../packing/repacks.ts'
import { type Candidate, candidatesOf } from './draft.ts'
import { imprecise } from './no-plan.ts'
import { cheapest, costOf } from './objective.ts'
import { type Demands, inputLayout, policyFor } from './search.ts'
import { chooseStrategy } from './strategies.ts'

/** Modulus that a refresh leaves for masks, about; what it is in fact follows from the circuit. */
const USUAL_MASK_BITS = 86
const MOST_SPECIAL_PRIMES = 6
const WATERLINES = [26, 28, 30]
/** Bits that weights carry beyond the precision of the answer. */
const WEIGHT_MARGINS = [6, 8, 10, 12, 14]

/**
 * Plans with refreshes: for every ring, number of levels between two refreshes, waterline and weight precision, circuits
 * cut as late as possible.
 *
 * @returns the candidates that fit the security table and the precision, best first for the objective
 * @throws DEPTH_EXCEEDED when none does
 */
export function searchRefreshed(graph: Graph, demands: Demands): Candidate[] {
  const tried = demands.rings.flatMap((ring) => ringCandidates(graph, ring, demands))
  const within = tried.filter(({ special }) => special !== undefined)
  const precise = within.filter(({ precisionBits }) => precisionBits >= demands.precisionBits)
  if (precise.length === 0) {
    throw imprecise(demands.precisionBits, Math.max(0, ...within.map(({ precisionBits }) => precisionBits)))
  }
  return precise.sort((a, b) => costOf(demands.objective, a) - costOf(demands.objective, b))
}

function ringCandidates(graph: Graph, ring: number, demands: Demands): Candidate[] {
  const lengths = segmentLengths(ring, demands)
  if (lengths.length === 0) return []
  const draft = drafter(insertRepacks(graph, ring / 2), ring, demands)
  const usual = { waterline: WATERLINES[0], margin: WEIGHT_MARGINS[1] }
  const strategy = chooseStrategy(
    demands.target.name,
    inputLayout(graph, ring / 2).interleave,
    (strategy) => {
      const best = cheapest(draft(lengths[0], usual, strategy), demands.objective)
      return best === undefined ? Infinity : costOf(demands.objective, best)
    },
  )
  return lengths.flatMap((length) =>
    WATERLINES.flatMap((waterline) =>
      WEIGHT_MARGINS.flatMap((margin) => draft(length, { waterline, margin }, strategy)),
    ),
  )
}

/** Numbers of levels that fill the modulus beside the masks and each number of special primes, the largest first. */
function segmentLengths(ring: number, { target, maxPrimeBits }: Demands): number[] {
  const prime = Math.min(target.primeSizes.most, maxPrimeBits)
  const room = MAX_LOG_QP[ring] - USUAL_MASK_BITS
  const lengths = new Set<number>()
  for (let special = 1; special <= MOST_SPECIAL_PRIMES; special++) {
    const levels = Math.floor((room - special * prime) / prime)
    if (levels >= 2) lengths.add(levels)
  }
  return [...lengths]
}

type Scales = { readonly waterline: number; readonly margin: number }

/** Drafts circuits of one ring; a length that is too short for some layer gives none. */
function drafter(graph: Graph, ring: number, { target, precisionBits, maxPrimeBits, link }: Demands) {
  const layout = inputLayout(graph, ring / 2)
  const sizes = { least: target.primeSizes.least, most: Math.min(target.primeSizes.most, maxPrimeBits) }
  return (segmentLevels: number, { waterline, margin }: Scales, strategy: RotationStrategy): Candidate[] => {
    const scales = { step: sizes.most - 2, waterline, margin }
    const policy = policyFor(layout, ring, scales, precisionBits)
    try {
      return candidatesOf(graph, {
        ring,
        layout,
        sizes,
        policy,
        strategy,
        target,
        precisionBits,
        segmentLevels,
        link,
      })
    } catch (error) {
      if (error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED') return []
      throw error
    }
  }
}
