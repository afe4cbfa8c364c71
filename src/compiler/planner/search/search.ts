import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import type { Layout } from '../../../circuit/types.ts'
import type { Objective } from '../../choices.ts'
import type { Graph } from '../../graph/graph.ts'
import type { ScalePolicy } from '../../lowering/builder/scale-policy.ts'
import { everywhere, type RotationStrategy } from '../../lowering/strategy.ts'
import { chooseLayout } from '../../packing/choose.ts'
import { reachAt } from '../../passes/insert-repacks.ts'
import type { PrimeSizes } from '../modulus/chain.ts'
import { logitDeviation } from '../modulus/precision.ts'
import { imageSlots } from '../modulus/rings.ts'
import type { Link } from '../target/refresh-cost.ts'
import type { Target } from '../target/target.ts'
import { type Candidate, type FittingCandidate, isWithinBudget } from './candidate.ts'
import { candidatesOf } from './draft.ts'
import { type Asked, noPlan } from './no-plan.ts'
import { cheapest, costOf } from './objective.ts'
import { CHAINS, chooseStrategy } from './strategies.ts'

/** The user's request for a plan. */
export interface PlanRequest extends Asked {
  readonly target: Target
  /** Rings that hold the batch, ascending. */
  readonly rings: readonly number[]
  /** Images that share the ciphertexts. */
  readonly batch: number
  readonly objective: Objective
  /** The link between client and server; by default both are on one machine. */
  readonly link?: Link
  /** Size of the largest prime, in bits. Larger and fewer primes make fewer digits. */
  readonly maxPrimeBits: number
  /**
   * Bytes of an engine's memory that keys and the transforms' constants may take where the server restores
   * levels; any by default.
   */
  readonly mostRestorationMemory?: number
}

/** Largest error of a draft's precision. */
const DRAFT_TOLERANCE_BITS = 0.25

/**
 * Drafts circuits in one shot for combinations of ring, least rescale, waterline, weight precision, rotation
 * strategy and number of special primes.
 *
 * @returns the candidates that fit, those of the smallest ring first, and of a ring the best for the
 *   objective first. A ring is searched when the candidates of all smaller ones have been taken: it is slower
 *   and has larger keys, and serves only where no circuit of them is as precise as its draft
 * @throws DEPTH_EXCEEDED with layer, missing bits and remedies when no candidate of any ring fits
 */
export function* searchPlans(graph: Graph, request: PlanRequest): Iterable<FittingCandidate> {
  const tried: Candidate[] = []
  let found = 0
  for (const ring of request.rings) {
    const candidates = new RingSearch(graph, ring, request).run()
    const fitting = precise(candidates, request)
    const cost = (candidate: Candidate) => costOf(request.objective, candidate)
    found += fitting.length
    yield* fitting.sort((a, b) => cost(a) - cost(b))
    tried.push(...candidates)
  }
  if (found === 0) throw noPlan(graph, tried, request)
}

/** The candidates within the budget whose draft is precise enough. */
const precise = (candidates: readonly Candidate[], request: PlanRequest): FittingCandidate[] =>
  candidates
    .filter(isWithinBudget)
    .filter(({ precisionBits }) => precisionBits >= request.precisionBits - DRAFT_TOLERANCE_BITS)

/** The scales that a `ScalePolicy` is made from, in bits. */
interface Scales {
  readonly step: number
  readonly waterline: number
  /** Bits by which the error of one layer's rounded weights lies below the allowed error. */
  readonly margin: number
}

const WATERLINES = [26, 27, 28, 30, 32, 34, 37]
/** Number of least rescales that are tried, from the target's smallest prime to its largest. */
const STEPS = 11
/** First, least and largest weight margin. */
const WEIGHT_MARGIN = { first: 4, least: 0, most: 10 }
/** Weight margins are multiples of this fraction of a bit. */
const WEIGHT_GRAIN = 1 / 4
/** Spare bits of precision that are tried, because a circuit can be less precise than its draft. */
const PRECISION_RESERVES = [0, 0.25, 0.5, 0.75, 1]
/**
 * Other scales are not tried where the first draft exceeds the budget by more than this share of it. In the
 * golden networks they saved an eighth of the bits at most.
 */
const MOST_EXCESS = 1 / 4
/** Number of scales that are tried again with the strategy that is best at the best scales. */
const BEST_SCALES = 12

/** The search within one ring. */
class RingSearch {
  readonly #graph: Graph
  readonly #ring: number
  readonly #request: PlanRequest
  readonly #layout: Layout
  readonly #sizes: PrimeSizes
  readonly #scalesOf = new Map<ScalePolicy, Scales>()

  constructor(graph: Graph, ring: number, request: PlanRequest) {
    const { least, most } = request.target.primeSizes
    this.#graph = graph
    this.#ring = ring
    this.#request = request
    this.#layout = inputLayout(graph, imageSlots(ring, request.batch))
    this.#sizes = { least, most: Math.min(most, request.maxPrimeBits) }
  }

  /**
   * Chooses the strategy at usual scales, then the scales, then the strategy at the best scales. The best
   * strategy hardly depends on the scales, and the best scales hardly depend on the strategy.
   */
  run(): Candidate[] {
    const usual = { step: this.#sizes.most, waterline: WATERLINES[0], margin: WEIGHT_MARGIN.first }
    const first = this.#draft(usual, CHAINS)
    const mostExcess = MOST_EXCESS * MAX_LOG_QP[this.#ring]
    if (first.every(({ excessBits }) => excessBits > mostExcess)) return first
    const strategy = this.#strategyAt(usual)
    const candidates = this.#allScales(strategy)
    const best = this.#bestScales(candidates)
    if (best.length === 0) return candidates
    const better = this.#strategyAt(best[0])
    return [...candidates, ...best.flatMap((scales) => this.#draft(scales, better))]
  }

  #draft(scales: Scales, strategy: RotationStrategy): Candidate[] {
    const { target, precisionBits, batch } = this.#request
    const policy = policyFor(scales, precisionBits, logitDeviation(this.#graph))
    this.#scalesOf.set(policy, scales)
    return candidatesOf(this.#graph, {
      ring: this.#ring,
      batch,
      layout: this.#layout,
      sizes: this.#sizes,
      policy,
      strategies: everywhere(strategy),
      target,
      precisionBits,
    })
  }

  #strategyAt(scales: Scales): RotationStrategy {
    const { target, objective } = this.#request
    return chooseStrategy(target.name, this.#layout.interleave, (strategy) => {
      const best = cheapest(this.#draft(scales, strategy), objective)
      return best === undefined ? Infinity : costOf(objective, best)
    })
  }

  #allScales(strategy: RotationStrategy): Candidate[] {
    return stepsBetween(this.#sizes).flatMap((step) =>
      WATERLINES.flatMap((waterline) => this.#margins(step, waterline, strategy)),
    )
  }

  /**
   * Candidates whose weights have the least scale for the requested precision. One bit of scale gives one bit
   * of precision, until other noise dominates.
   */
  #margins(step: number, waterline: number, strategy: RotationStrategy): Candidate[] {
    const draft = (margin: number) => this.#draft({ step, waterline, margin }, strategy)
    const first = draft(WEIGHT_MARGIN.first)
    const reached = Math.max(...first.map(({ precisionBits }) => precisionBits))
    if (!Number.isFinite(reached)) return first
    const margins = PRECISION_RESERVES.map((reserve) => {
      const exact = WEIGHT_MARGIN.first + this.#request.precisionBits + reserve - reached
      const grained = Math.ceil(exact / WEIGHT_GRAIN) * WEIGHT_GRAIN
      return Math.min(WEIGHT_MARGIN.most, Math.max(WEIGHT_MARGIN.least, grained))
    })
    return [...first, ...margins.flatMap(draft)]
  }

  /** Scales of the best candidates that fit, the best first. */
  #bestScales(candidates: readonly Candidate[]): Scales[] {
    const fitting = precise(candidates, this.#request)
    const cost = (candidate: Candidate) => costOf(this.#request.objective, candidate)
    const policies = new Set(fitting.sort((a, b) => cost(a) - cost(b)).map(({ plan }) => plan.policy))
    return [...policies].slice(0, BEST_SCALES).map((policy) => this.#scalesOf.get(policy)!)
  }
}

function stepsBetween({ least, most }: PrimeSizes): number[] {
  const steps = Array.from({ length: STEPS }, (_, i) =>
    Math.round(least + (i * (most - least)) / (STEPS - 1)),
  )
  return [...new Set(steps)]
}

/**
 * The scale policy for a precision.
 *
 * @param precisionBits of the answer, relative to the logits' deviation
 * @param deviation of the logits
 */
export const policyFor = (
  { step, waterline, margin }: Scales,
  precisionBits: number,
  deviation: number,
): ScalePolicy => ({
  waterline,
  step,
  rounding: precisionBits + margin - Math.log2(deviation),
  input: waterline + 4,
})

/** Layout of the input. @param slots of one image */
export function inputLayout(graph: Graph, slots: number): Layout {
  const input = graph.nodes.find((node) => node.kind === 'input')!
  return chooseLayout(slots, input.shape, reachAt(graph, input.shape))
}
