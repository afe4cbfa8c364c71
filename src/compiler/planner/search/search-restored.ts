import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import type { Graph } from '../../graph/graph.ts'
import type { TransformRotations } from '../../lowering/restoration/shape.ts'
import type { FittingCandidate, Segment } from './candidate.ts'
import { copiesWorthTrying } from './copies.ts'
import { raises } from './restorable.ts'
import { groupsOfStages, type RestorationPlan, restorationBits } from './restoration.ts'
import type { PlanRequest } from './search.ts'
import { type SpacesOf, searchSegments } from './search-segments.ts'

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
 * log2 of the scale between the transforms, for the segments that are compared first. Each level takes two
 * primes. A ring has few small ones, and a larger ring fewer: there are not enough for scales of two bits
 * less.
 */
const SCALE_BITS: Readonly<Record<number, number>> = { 32768: 46, 65536: 48 }
/** Bits of the other scale that is tried. It leaves more modulus, and one bit more noise. */
const FEWER_SCALE_BITS = 1

/**
 * Drafts circuits whose server restores levels, as `searchSegments` says.
 *
 * @param request of one image, as `requireRestorable` checks
 * @returns the candidates that fit, the best for the objective first
 * @throws DEPTH_EXCEEDED when no candidate fits
 */
export const searchRestored = (graph: Graph, request: PlanRequest): FittingCandidate[] =>
  searchSegments(graph, request, restoredSpaces)

const restoredSpaces: SpacesOf = (graph, ring, request) =>
  raises(ring)
    ? copiesWorthTrying(graph, ring).map((copies) => ({
        ring,
        copies,
        segments: restoredSegments(ring, copies, request),
        variations: [withOtherScale, withOtherRotations],
      }))
    : []

/** The segments between two restorations that fit a ring's modulus, those with most levels first. */
function restoredSegments(ring: number, copies: number, { target, maxPrimeBits }: PlanRequest): Segment[] {
  const most = Math.min(target.primeSizes.most, maxPrimeBits)
  const segments = restorationPlans(ring, copies).flatMap((restoration) => {
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

/** The rotations of the transforms with which segments are compared, and others. */
const ROTATIONS: TransformRotations = { babySteps: 'tree', giantSteps: 'horner' }
const OTHER_ROTATIONS: readonly TransformRotations[] = [
  { babySteps: 'chain', giantSteps: 'horner' },
  { babySteps: 'tree', babiesForGiant: 2, giantSteps: 'horner' },
  { babySteps: 'direct', babiesForGiant: 2, giantSteps: 'horner' },
]

const withOtherScale = (segment: Segment): Segment[] => {
  const restoration = segment.restoration!
  return [
    { ...segment, restoration: { ...restoration, scaleBits: restoration.scaleBits - FEWER_SCALE_BITS } },
  ]
}

const withOtherRotations = (segment: Segment): Segment[] =>
  OTHER_ROTATIONS.map((rotations) => ({ ...segment, restoration: { ...segment.restoration!, rotations } }))

function restorationPlans(ring: number, copies: number): RestorationPlan[] {
  return GROUPS.map((groups) => ({
    stages: groupsOfStages(ring / 2 / copies, groups),
    rotations: ROTATIONS,
    scaleBits: SCALE_BITS[ring],
    lowBits: LOW_BITS,
    raiseBits: RAISE_BITS,
  }))
}
