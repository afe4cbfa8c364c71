import type { Layout } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { Graph } from '../../graph/graph.ts'
import type { ScalePolicy } from '../../lowering/builder/scale-policy.ts'
import { everywhere, type RotationStrategy, type Strategies } from '../../lowering/strategy.ts'
import { insertRepacks } from '../../passes/insert-repacks.ts'
import { narrowFirst } from '../../passes/narrow-first.ts'
import { logitDeviation } from '../modulus/precision.ts'
import { imageSlots } from '../modulus/rings.ts'
import {
  type Candidate,
  type FittingCandidate,
  isWithinBudget,
  type LoweringPlan,
  type Segment,
  type SegmentSpace,
} from './candidate.ts'
import { canBeUploaded, candidatesOf, costsOf } from './draft.ts'
import { chooseStrategies } from './group-strategies.ts'
import { imprecise, keysTooLarge } from './no-plan.ts'
import { cheapest, costOf } from './objective.ts'
import { inputLayout, type PlanRequest, policyFor } from './search.ts'
import { CHAINS } from './strategies.ts'

const WATERLINES = [22, 24, 25, 26, 28]
/**
 * The margins that are tried lie between these: bits by which the error of one layer's rounded weights lies
 * below the allowed error.
 */
const LEAST_MARGIN = 1
const MOST_MARGIN = 8
/** Smaller margins are not tried when the precision is this far below the requested one. */
const OUT_OF_REACH_BITS = 1

/** Differences from the best scales that are tried at last. The other waterlines and margins are whole. */
const FINE_WATERLINES = [-0.5, 0, 0.5]
const FINE_MARGINS = [-0.75, -0.5, -0.25, 0]

/** Number of segments whose variants are tried. */
const VARIED_SEGMENTS = 5
/** Number of segments for which scales are varied, from the best at usual scales on. */
const BEST_SEGMENTS = 2
/**
 * A ring is skipped when its first draft costs more than this many times the best first draft, unless the
 * other rings have no plan.
 */
const WORTH_TRYING = 1.4
/**
 * A ring is left when its best strategies cost more than this many times the best candidate of another ring.
 */
const WORTH_REFINING = 1.25
/** Number of segments of a ring's first drafts. */
const PROBES = 4

/** The segments to try in a ring. */
export type SpacesOf = (graph: Graph, ring: number, request: PlanRequest) => SegmentSpace[]

/**
 * Drafts circuits that are cut into segments, for combinations of ring, segment, waterline and weight
 * precision. Rings whose first draft is far from the best are skipped.
 *
 * @param spacesOf the segments: those between two refreshes by the client, or between two restorations
 * @returns the candidates that fit the security table and the precision, the best for the objective first
 * @throws DEPTH_EXCEEDED when no candidate fits
 */
export function searchSegments(graph: Graph, request: PlanRequest, spacesOf: SpacesOf): FittingCandidate[] {
  const searches: SegmentSearch[] = []
  const spaces = request.rings.flatMap((ring) => spacesOf(graph, ring, request))
  for (const space of spaces.filter(({ segments }) => segments.length > 0)) {
    const worthTrying = WORTH_TRYING * Math.min(...searches.map(({ firstCost }) => firstCost))
    searches.push(new SegmentSearch(graph, space, request, worthTrying))
  }
  const ranked = byCost(searches, (search) => search.firstCost)
  const candidates: Candidate[] = []
  for (const search of ranked) {
    const precise = candidates.filter((candidate) => isPrecise(candidate, request))
    const best = cheapest(precise, request.objective)
    if (best !== undefined && search.firstCost > WORTH_TRYING * ranked[0].firstCost) break
    candidates.push(...search.run(best ? costOf(request.objective, best) : Infinity))
  }
  const within = candidates.filter(isWithinBudget)
  const precise = within.filter((candidate) => isPrecise(candidate, request))
  if (precise.length === 0) {
    if (within.length > 0 && within.every(({ keysFit }) => !keysFit)) throw keysTooLarge(within, request)
    throw imprecise(request, Math.max(0, ...within.map(({ precisionBits }) => precisionBits)))
  }
  return byCost(precise, (candidate) => costOf(request.objective, candidate))
}

const isPrecise = (candidate: Candidate, request: PlanRequest): boolean =>
  isWithinBudget(candidate) && candidate.keysFit && candidate.precisionBits >= request.precisionBits

/** Items by ascending cost. */
const byCost = <T>(items: readonly T[], costOf: (item: T) => number): T[] =>
  items
    .map((item) => ({ item, cost: costOf(item) }))
    .sort((a, b) => a.cost - b.cost)
    .map(({ item }) => item)

/** At most `count` items, evenly spread, with the first and the last one. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items]
  return Array.from({ length: count }, (_, i) => items[Math.round((i * (items.length - 1)) / (count - 1))])
}

/** The strategies of first drafts. */
const FIRST = everywhere(CHAINS)

type Scales = { readonly waterline: number; readonly margin: number }

/** The search within one ring and number of copies. The constructor makes the first drafts. */
class SegmentSearch {
  readonly #graph: Graph
  readonly #space: SegmentSpace
  readonly #request: PlanRequest
  readonly #layout: Layout
  /** Scales of the first drafts. */
  readonly #usual: Scales
  readonly #scalesOf = new Map<ScalePolicy, Scales>()
  /** Candidates of the drafts so far, by segment and scales, for each choice of strategies. */
  readonly #drafted = new Map<Strategies, Map<string, readonly Candidate[]>>()
  readonly #numbers = new Map<Segment, number>()
  /** The segment of the best first draft. */
  readonly #first: Segment
  /** Cost of the best first draft; infinite when there is none. */
  readonly firstCost: number

  /** @param worthTrying cost above which the space will not be tried */
  constructor(graph: Graph, space: SegmentSpace, request: PlanRequest, worthTrying: number) {
    const slots = imageSlots(space.ring, request.batch, space.copies)
    this.#graph = narrowFirst(insertRepacks(graph, slots))
    this.#space = space
    this.#request = request
    this.#layout = inputLayout(graph, slots)
    const probes = spread(space.segments, PROBES)
    this.#usual = { waterline: WATERLINES[0], margin: this.#preciseMargin(probes, worthTrying) }
    const firstCost = (segment: Segment): number => this.#costAt(segment, this.#usual, FIRST)
    const areTooDeep = probes.every((segment) => firstCost(segment) === Infinity)
    this.#first = byCost(areTooDeep ? space.segments : probes, firstCost)[0]
    this.firstCost = firstCost(this.#first)
  }

  /**
   * Chooses strategies, then the segment, then the scales, at last to fractions of a bit. The best strategies
   * hardly depend on segment and scales, and the best segment hardly depends on scales. Only how many keys
   * can be uploaded depends on the segment: strategies are chosen with and without this limit.
   *
   * @param bestCost of the candidates of other rings
   * @returns no candidates when others are far better, and the first drafts when none of them has a cost
   */
  run(bestCost: number): Candidate[] {
    // Their figures say why there is no plan.
    if (this.firstCost === Infinity) return this.#allDrafted()
    const choices = this.#strategies()
    const firstCosts = choices.map((strategies) => this.#costAt(this.#first, this.#usual, strategies))
    if (Math.min(...firstCosts) > WORTH_REFINING * bestCost) return []
    const [{ strategies, segments }] = byCost(
      choices.map((strategies) => ({ strategies, segments: this.#ranked(strategies) })),
      ({ strategies, segments }) => this.#cheapCost(segments[0], strategies),
    )
    const found: Candidate[] = []
    let preciseSegments = 0
    for (const segment of segments) {
      const candidates = this.#waterlines(segment, strategies)
      found.push(...candidates)
      if (candidates.some((candidate) => isPrecise(candidate, this.#request))) preciseSegments++
      if (preciseSegments === BEST_SEGMENTS) break
    }
    return [...found, ...this.#refined(found, strategies)]
  }

  /** Strategies that are best in the first segment. */
  #strategies(): Strategies[] {
    const choose = (isAllowed?: (candidate: Candidate) => boolean): Strategies => {
      const draft = (strategy: RotationStrategy): readonly Candidate[] =>
        this.#draft(this.#first, this.#usual, strategy === CHAINS ? FIRST : everywhere(strategy))
      const { target, objective } = this.#request
      return chooseStrategies(target.name, objective, draft, isAllowed)
    }
    return this.#first.restoration ? [choose(canBeUploaded), choose()] : [choose()]
  }

  /** The segments and the variants of the best ones, by their costs. */
  #ranked(strategies: Strategies): Segment[] {
    const { segments, variations = [] } = this.#space
    const costs = new Map<Segment, number>()
    const ranked = (some: readonly Segment[]): Segment[] => {
      for (const segment of some) {
        if (!costs.has(segment)) costs.set(segment, this.#cheapCost(segment, strategies))
      }
      return byCost(some, (segment) => costs.get(segment)!)
    }
    let best = ranked(segments)
    for (const variants of variations) {
      best = ranked([...best, ...best.slice(0, VARIED_SEGMENTS).flatMap(variants)])
    }
    return best
  }

  /** As `#costAt` at usual scales, from a draft without its noise. */
  #cheapCost(segment: Segment, strategies: Strategies): number {
    const drafts = this.#attempted(() => costsOf(this.#graph, this.#planOf(segment, this.#usual, strategies)))
    const fitting = drafts.filter((draft) => draft.special !== undefined && draft.keysFit)
    return Math.min(...fitting.map((draft) => costOf(this.#request.objective, draft)))
  }

  #allDrafted(): Candidate[] {
    return [...this.#drafted.values()].flatMap((drafts) => [...drafts.values()].flat())
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

  /**
   * The least weight margin at which a segment reaches the precision, or the largest margin. A bit of margin
   * gives hardly more than a bit of precision, so margins that are too small for the missing bits are
   * skipped. Larger margins cost more, so none is looked for above a margin that costs more than
   * `worthTrying`.
   */
  #preciseMargin(segments: readonly Segment[], worthTrying: number): number {
    let margin = LEAST_MARGIN
    while (margin < MOST_MARGIN) {
      const missing = this.#missingBits(segments, margin)
      if (missing <= 0 || this.#leastCost(segments, margin) > worthTrying) break
      margin = Math.min(MOST_MARGIN, margin + (missing < Infinity ? Math.max(1, Math.floor(missing)) : 1))
    }
    return margin
  }

  /** Cost of the cheapest first draft at a margin; infinite when there is none. */
  #leastCost(segments: readonly Segment[], margin: number): number {
    const scales = { waterline: WATERLINES[0], margin }
    return Math.min(...segments.map((segment) => this.#costAt(segment, scales, FIRST)))
  }

  /**
   * Bits that the most precise segment lacks at a margin; infinite when no segment has a candidate within the
   * budget.
   */
  #missingBits(segments: readonly Segment[], margin: number): number {
    let missing = Infinity
    for (const segment of segments) {
      const candidates = this.#draft(segment, { waterline: WATERLINES[0], margin }, FIRST)
      for (const candidate of candidates.filter(isWithinBudget)) {
        missing = Math.min(missing, this.#request.precisionBits - candidate.precisionBits)
      }
      if (missing <= 0) break
    }
    return missing
  }

  /**
   * Candidates of all waterlines, from the least precise margin on. Scales fit together better at some
   * margins, which saves more than larger margins cost. A higher waterline leaves less noise, so its least
   * precise margin lies near that of the waterline before.
   */
  #waterlines(segment: Segment, strategies: Strategies): Candidate[] {
    const found: Candidate[] = []
    let margin = this.#usual.margin
    for (const waterline of WATERLINES) {
      const outcomeOf = (tried: number): Outcome => {
        const candidates = this.#draft(segment, { waterline, margin: tried }, strategies)
        found.push(...candidates)
        return this.#outcome(candidates)
      }
      const least = leastPrecise(margin, outcomeOf)
      if (least === undefined) continue
      margin = least
      for (let above = margin + 1; above <= MOST_MARGIN; above++) outcomeOf(above)
    }
    return found
  }

  #outcome(candidates: readonly Candidate[]): Outcome {
    if (candidates.length === 0) return 'too deep'
    if (candidates.some((candidate) => isPrecise(candidate, this.#request))) return 'precise'
    const least = this.#request.precisionBits - OUT_OF_REACH_BITS
    return candidates.some(({ precisionBits }) => precisionBits >= least) ? 'imprecise' : 'out of reach'
  }

  #costAt(segment: Segment, scales: Scales, strategies: Strategies): number {
    const { objective } = this.#request
    const fitting = this.#draft(segment, scales, strategies).filter(({ keysFit }) => keysFit)
    const best = cheapest(fitting, objective)
    return best === undefined ? Infinity : costOf(objective, best)
  }

  /** Candidates of a draft, which is made once. */
  #draft(segment: Segment, scales: Scales, strategies: Strategies): readonly Candidate[] {
    const drafted = this.#drafted.get(strategies) ?? new Map<string, readonly Candidate[]>()
    this.#drafted.set(strategies, drafted)
    const key = [this.#numberOf(segment), scales.waterline, scales.margin].join()
    const candidates = drafted.get(key) ?? this.#newDraft(segment, scales, strategies)
    drafted.set(key, candidates)
    return candidates
  }

  #numberOf(segment: Segment): number {
    const number = this.#numbers.get(segment) ?? this.#numbers.size
    this.#numbers.set(segment, number)
    return number
  }

  #newDraft(segment: Segment, scales: Scales, strategies: Strategies): Candidate[] {
    return this.#attempted(() => candidatesOf(this.#graph, this.#planOf(segment, scales, strategies)))
  }

  /** Drafts circuits. There are none when the segment is too short for a layer. */
  #attempted<T>(draft: () => T[]): T[] {
    try {
      return draft()
    } catch (error) {
      if (error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED') return []
      throw error
    }
  }

  #planOf(segment: Segment, { waterline, margin }: Scales, strategies: Strategies): LoweringPlan {
    const { target, precisionBits, maxPrimeBits, link, batch, mostRestorationMemory } = this.#request
    const sizes = { least: target.primeSizes.least, most: Math.min(target.primeSizes.most, maxPrimeBits) }
    const scales = { step: segment.primeBits - 2, waterline, margin }
    const policy = policyFor(scales, precisionBits, logitDeviation(this.#graph))
    this.#scalesOf.set(policy, { waterline, margin })
    return {
      ring: this.#space.ring,
      copies: this.#space.copies,
      batch,
      layout: this.#layout,
      sizes,
      policy,
      strategies,
      target,
      precisionBits,
      segment,
      link,
      mostRestorationMemory,
    }
  }
}

/** What a draft is. There are no candidates when the weights' bits make a layer too deep. */
type Outcome = 'precise' | 'imprecise' | 'out of reach' | 'too deep'

/**
 * Tries margins from `start` on until one is precise: the larger ones, then the smaller ones. A larger margin
 * is mostly more precise. But its weights have more bits, so it can also take more refreshes, whose noise
 * makes it less precise, or be too deep.
 *
 * @returns the least margin of the precise ones next to it; undefined when no draft is precise
 */
function leastPrecise(start: number, outcomeOf: (margin: number) => Outcome): number | undefined {
  let least = firstPrecise(start, outcomeOf)
  while (least !== undefined && least > LEAST_MARGIN && outcomeOf(least - 1) === 'precise') least--
  return least
}

function firstPrecise(start: number, outcomeOf: (margin: number) => Outcome): number | undefined {
  for (let margin = start; margin <= MOST_MARGIN; margin++) if (outcomeOf(margin) === 'precise') return margin
  for (let margin = start - 1; margin >= LEAST_MARGIN; margin--) {
    const outcome = outcomeOf(margin)
    if (outcome === 'precise') return margin
    if (outcome === 'out of reach') return undefined
  }
  return undefined
}
