import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import type { Layout } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { Graph } from '../../graph/graph.ts'
import type { ScalePolicy } from '../../lowering/builder/scale-policy.ts'
import { everywhere, type Strategies } from '../../lowering/strategy.ts'
import { insertRepacks } from '../../passes/insert-repacks.ts'
import { narrowFirst } from '../../passes/narrow-first.ts'
import { logitDeviation } from '../modulus/precision.ts'
import { imageSlots } from '../modulus/rings.ts'
import { type Candidate, type FittingCandidate, isWithinBudget, type Segment } from './candidate.ts'
import { candidatesOf } from './draft.ts'
import { chooseStrategies } from './group-strategies.ts'
import { imprecise } from './no-plan.ts'
import { cheapest, costOf } from './objective.ts'
import { inputLayout, type PlanRequest, policyFor } from './search.ts'
import { CHAINS } from './strategies.ts'

/** Approximate log2 of the refresh level's modulus. The exact modulus follows from the circuit. */
const USUAL_REFRESH_BITS = 76
const MOST_SPECIAL_PRIMES = 6
const WATERLINES = [22, 24, 25, 26, 28]
/**
 * Margins that are tried: bits by which the error of one layer's rounded weights lies below the allowed
 * error.
 */
const WEIGHT_MARGINS = [1, 2, 3, 4, 5, 6, 7, 8]

/** Differences from the best scales that are tried at last. The other waterlines and margins are whole. */
const FINE_WATERLINES = [-0.5, 0, 0.5]
const FINE_MARGINS = [-0.75, -0.5, -0.25, 0]

/** Weights with fewer bits are not tried when the precision is this far below the requested one. */
const OUT_OF_REACH_BITS = 1
/** Number of segments for which scales are varied, from the best at usual scales on. */
const BEST_SEGMENTS = 2
/**
 * A ring is skipped when its first draft costs more than this many times the best first draft, unless the
 * other rings have no plan.
 */
const WORTH_TRYING = 1.4

/**
 * Drafts circuits with refreshes for combinations of ring, segment between two refreshes, waterline and
 * weight precision. Rings whose first draft is far from the best are skipped.
 *
 * @returns the candidates that fit the security table and the precision, the best for the objective first
 * @throws DEPTH_EXCEEDED when no candidate fits
 */
export function searchRefreshed(graph: Graph, request: PlanRequest): FittingCandidate[] {
  const rings = request.rings.map((ring) => new RefreshedSearch(graph, ring, request))
  const ranked = byCost(rings, (search) => search.firstCost)
  const candidates: Candidate[] = []
  for (const search of ranked) {
    const isFar = search.firstCost > WORTH_TRYING * ranked[0].firstCost
    if (isFar && candidates.some((candidate) => isPrecise(candidate, request))) break
    candidates.push(...search.run())
  }
  const within = candidates.filter(isWithinBudget)
  const precise = within.filter((candidate) => isPrecise(candidate, request))
  if (precise.length === 0) {
    throw imprecise(request.precisionBits, Math.max(0, ...within.map(({ precisionBits }) => precisionBits)))
  }
  return byCost(precise, (candidate) => costOf(request.objective, candidate))
}

const isPrecise = (candidate: Candidate, request: PlanRequest): boolean =>
  isWithinBudget(candidate) && candidate.precisionBits >= request.precisionBits

/** Items by ascending cost. */
const byCost = <T>(items: readonly T[], costOf: (item: T) => number): T[] =>
  items
    .map((item) => ({ item, cost: costOf(item) }))
    .sort((a, b) => a.cost - b.cost)
    .map(({ item }) => item)

/** The strategies of first drafts. */
const FIRST = everywhere(CHAINS)

type Scales = { readonly waterline: number; readonly margin: number }

/** The search within one ring. The constructor makes the first drafts. */
class RefreshedSearch {
  readonly #graph: Graph
  readonly #ring: number
  readonly #request: PlanRequest
  readonly #layout: Layout
  /** Scales of the first drafts. */
  readonly #usual: Scales
  readonly #scalesOf = new Map<ScalePolicy, Scales>()
  /** Candidates of the drafts so far, by segment and scales, for each choice of strategies. */
  readonly #drafted = new Map<Strategies, Map<string, readonly Candidate[]>>()
  /** Segments by ascending cost of their first draft. */
  readonly #segments: readonly Segment[]
  /** Cost of the best segment's first draft; infinite when no segment has a draft. */
  readonly firstCost: number

  constructor(graph: Graph, ring: number, request: PlanRequest) {
    const slots = imageSlots(ring, request.batch)
    this.#graph = narrowFirst(insertRepacks(graph, slots))
    this.#ring = ring
    this.#request = request
    this.#layout = inputLayout(graph, slots)
    const segments = segmentsWithin(ring, request)
    this.#usual = { waterline: WATERLINES[0], margin: this.#preciseMargin(segments) }
    const costs = new Map(segments.map((segment) => [segment, this.#costAt(segment, FIRST)]))
    this.#segments = byCost(segments, (segment) => costs.get(segment)!)
    this.firstCost = costs.get(this.#segments[0]) ?? Infinity
  }

  /**
   * Chooses strategies, then the segment, then the scales, at last to fractions of a bit. The best strategies
   * hardly depend on segment and scales, and the best segment hardly depends on scales.
   */
  run(): Candidate[] {
    if (this.firstCost === Infinity) return []
    const { target, objective } = this.#request
    const strategies = chooseStrategies(target.name, objective, (strategy) =>
      this.#draft(this.#segments[0], this.#usual, strategy === CHAINS ? FIRST : everywhere(strategy)),
    )
    const found: Candidate[] = []
    let preciseSegments = 0
    for (const segment of byCost(this.#segments, (segment) => this.#costAt(segment, strategies))) {
      const candidates = WATERLINES.flatMap((waterline) => this.#margins(segment, waterline, strategies))
      found.push(...candidates)
      if (candidates.some((candidate) => isPrecise(candidate, this.#request))) preciseSegments++
      if (preciseSegments === BEST_SEGMENTS) break
    }
    return [...found, ...this.#refined(found, strategies)]
  }

  /** Candidates near the scales of the best precise one. */
  #refined(found: readonly Candidate[], strategies: Strategies): Candidate[] {
    const precise = found.filter((candidate) => isPrecise(candidate, this.#request))
    const best = cheapest(precise, this.#request.objective)
    if (best === undefined) return []
    const { segment, policy } = best.plan
    const { waterline, margin } = this.#scalesOf.get(policy)!
    return FINE_WATERLINES.flatMap((bits) =>
      FINE_MARGINS.flatMap((more) =>
        this.#draft(segment!, { waterline: waterline + bits, margin: margin + more }, strategies),
      ),
    )
  }

  /** The least weight margin at which a segment reaches the precision, or the largest margin. */
  #preciseMargin(segments: readonly Segment[]): number {
    const reaches = (margin: number): boolean =>
      segments.some((segment) =>
        this.#draft(segment, { waterline: WATERLINES[0], margin }, FIRST).some((candidate) =>
          isPrecise(candidate, this.#request),
        ),
      )
    return WEIGHT_MARGINS.find(reaches) ?? WEIGHT_MARGINS.at(-1)!
  }

  /** Candidates of descending weight margins, down to a margin at which the precision is out of reach. */
  #margins(segment: Segment, waterline: number, strategies: Strategies): Candidate[] {
    const found: Candidate[] = []
    for (const margin of WEIGHT_MARGINS.toReversed()) {
      const candidates = this.#draft(segment, { waterline, margin }, strategies)
      found.push(...candidates)
      // Without candidates, the weights' bits made a layer too deep, and a smaller margin may fit.
      const least = this.#request.precisionBits - OUT_OF_REACH_BITS
      if (candidates.length > 0 && candidates.every(({ precisionBits }) => precisionBits < least)) break
    }
    return found
  }

  #costAt(segment: Segment, strategies: Strategies): number {
    const { objective } = this.#request
    const best = cheapest(this.#draft(segment, this.#usual, strategies), objective)
    return best === undefined ? Infinity : costOf(objective, best)
  }

  /** Candidates of a draft, which is made once. */
  #draft(segment: Segment, scales: Scales, strategies: Strategies): readonly Candidate[] {
    const drafted = this.#drafted.get(strategies) ?? new Map<string, readonly Candidate[]>()
    this.#drafted.set(strategies, drafted)
    const key = [segment.levels, segment.primeBits, scales.waterline, scales.margin].join()
    const candidates = drafted.get(key) ?? this.#newDraft(segment, scales, strategies)
    drafted.set(key, candidates)
    return candidates
  }

  /** Drafts circuits. There are no candidates when the segment is too short for a layer. */
  #newDraft(segment: Segment, { waterline, margin }: Scales, strategies: Strategies): Candidate[] {
    const { target, precisionBits, maxPrimeBits, link, batch } = this.#request
    const sizes = { least: target.primeSizes.least, most: Math.min(target.primeSizes.most, maxPrimeBits) }
    const scales = { step: segment.primeBits - 2, waterline, margin }
    const policy = policyFor(scales, precisionBits, logitDeviation(this.#graph))
    this.#scalesOf.set(policy, { waterline, margin })
    try {
      return candidatesOf(this.#graph, {
        ring: this.#ring,
        batch,
        layout: this.#layout,
        sizes,
        policy,
        strategies,
        target,
        precisionBits,
        segment,
        link,
      })
    } catch (error) {
      if (error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED') return []
      throw error
    }
  }
}

/**
 * Largest number of bits by which primes of levels are smaller than they could be. Smaller primes are not
 * worth it.
 */
const MOST_BITS_LESS = 4

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
