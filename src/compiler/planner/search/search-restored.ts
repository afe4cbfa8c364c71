import { MAX_EPHEMERAL_LOG_QP } from '../../../circuit/parameters/ephemeral.ts'
import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { Graph } from '../../graph/graph.ts'
import type { FittingCandidate, Segment } from './candidate.ts'
import { type RestorationPlan, restorationBits } from './restoration.ts'
import type { PlanRequest } from './search.ts'
import { searchRefreshed } from './search-refreshed.ts'

/** Sizes of the network's primes between two restorations. */
const PRIME_BITS = [28, 30]
/** Numbers of levels between two restorations. More levels make fewer restorations and slower layers. */
const LEVELS = [3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24]
/** Fewest special primes. */
const LEAST_SPECIAL_PRIMES = 3
/** Numbers of groups of the transform's stages. */
const GROUPS = [2, 3, 4]
/** Primes of slots-to-coefficients. */
const LOW_BITS = 27
/** log2 of the raise level's modulus. */
const RAISE_BITS = 46
/**
 * log2 of the scale between the transforms. Rings have few small primes: a larger ring has fewer, and more
 * noise.
 */
const SCALE_BITS: Readonly<Record<number, number>> = { 32768: 46, 65536: 48 }

/**
 * Drafts circuits whose server restores levels, as `searchRefreshed` does for refreshes by the client.
 *
 * @returns the candidates that fit, the best for the objective first
 * @throws CONFIG_INVALID for a batch, whose images the transforms would mix, and for rings that raise no
 *   modulus; DEPTH_EXCEEDED when no candidate fits
 */
export function searchRestored(graph: Graph, request: PlanRequest): FittingCandidate[] {
  if (request.batch > 1) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `A server restores levels for one image in a ciphertext, not for a batch of ${request.batch}`,
      { batch: request.batch },
    )
  }
  if (!request.rings.some(raises)) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `A server restores levels in ring ${Object.keys(MAX_EPHEMERAL_LOG_QP).join(' and ')}, which is not among the rings to consider`,
      { rings: request.rings.join() },
    )
  }
  return searchRefreshed(graph, request, restoredSegments)
}

const raises = (ring: number): boolean => Object.hasOwn(MAX_EPHEMERAL_LOG_QP, ring)

/** The segments between two restorations that fit a ring's modulus, those with most levels first. */
function restoredSegments(ring: number, { target, maxPrimeBits }: PlanRequest): Segment[] {
  if (!raises(ring)) return []
  const most = Math.min(target.primeSizes.most, maxPrimeBits)
  const segments = restorationPlans(ring).flatMap((restoration) => {
    const room = MAX_LOG_QP[ring] - restorationBits(restoration) - LEAST_SPECIAL_PRIMES * most
    return PRIME_BITS.filter((bits) => bits <= most).flatMap((primeBits) =>
      LEVELS.filter((levels) => levels * primeBits <= room).map((levels) => ({
        levels,
        primeBits,
        restoration,
      })),
    )
  })
  return segments.sort((a, b) => b.levels - a.levels)
}

function restorationPlans(ring: number): RestorationPlan[] {
  const stages = Math.log2(ring / 2)
  return GROUPS.flatMap((groups) =>
    (['chain', 'tree', 'direct'] as const).map((babySteps) => ({
      stages: dividedStages(stages, groups),
      rotations: { babySteps, giantSteps: 'horner' as const },
      scaleBits: SCALE_BITS[ring],
      lowBits: LOW_BITS,
      raiseBits: RAISE_BITS,
    })),
  )
}

/** Stages in groups of nearly equal size. The last group, whose diagonals are the longest, has the fewest. */
function dividedStages(stages: number, groups: number): number[] {
  return Array.from({ length: groups }, (_, i) => Math.floor((stages + groups - 1 - i) / groups))
}
