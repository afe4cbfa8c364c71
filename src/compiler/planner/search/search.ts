import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import type { Layout } from '../../../circuit/types.ts'
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
import type { Candidate } from './candidate.ts'
import { candidatesOf } from './draft.ts'
import { noPlan } from './no-plan.ts'
import { cheapest, costOf, type Objective } from './objective.ts'
import { CHAINS, chooseStrategy } from './strategies.ts'

/** What the user asks of a plan. */
export interface PlanRequest {
  readonly target: Target
  /** Those that hold the batch, ascending. */
  readonly rings: readonly number[]
  /** Images that share the ciphertexts. */
  readonly batch: number
  readonly objective: Objective
  /** Bits by which the logits' error lies below their root mean square. */
  readonly precisionBits: number
  /** The link between client and server; by default both are on one machine. */
  readonly link?: Link
  /** Largest prime; fewer, larger primes make fewer digits. */
  readonly maxPrimeBits: number
}

/** How far a draft's precision may be off. */
const DRAFT_TOLERANCE_BITS = 0.25

/**
 * Drafts a circuit for many combinations of ring, least rescaling, waterline and weight precision, with the
 * best way to spend rotations, and weighs every number of special primes that fits.
 *
 * @returns the candidates that fit the security table, best first for the objective
 * @throws DEPTH_EXCEEDED with layer, missing bits and remedies when none fits
 */
export function searchPlans(graph: Graph, request: PlanRequest): Candidate[] {
  const tried: Candidate[] = []
  // A larger ring is slower and its keys are larger, whatever the objective: the smallest that fits is taken.
  for (const ring of request.rings) {
    const candidates = new RingSearch(graph, ring, request).run()
    const fitting = candidates.filter((candidate) => fits(candidate, request))
    const cost = (candidate: Candidate) => costOf(request.objective, candidate)
    if (fitting.length > 0) return fitting.sort((a, b) => cost(a) - cost(b))
    tried.push(...candidates)
  }
  throw noPlan(graph, tried, request.precisionBits)
}

const fits = ({ special, precisionBits }: Candidate, request: PlanRequest): boolean =>
  special !== undefined && precisionBits >= request.precisionBits - DRAFT_TOLERANCE_BITS

/** What a policy is made from, in bits. */
interface Scales {
  readonly step: number
  readonly waterline: number
  /** Bits by which rounded weights disturb a layer less than the answer may be off. */
  readonly margin: number
}

const WATERLINES = [26, 27, 28, 30, 32, 34, 37]
/** Least rescalings that are tried: so many between the target's smallest prime and its largest. */
const STEPS = 11
/** The margin at first, and at least and at most. */
const WEIGHT_MARGIN = { first: 4, least: 0, most: 10 }
/** Weights' scales are tried in such fractions of a bit. */
const WEIGHT_GRAIN = 1 / 4
/** Bits of precision to spare that are tried, should the finished circuit be less precise than its draft. */
const PRECISION_RESERVES = [0, 0.25, 0.5, 0.75, 1]
/** Scales that are tried again once the strategy has been chosen for the best of them. */
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
   * The best way to spend rotations hardly depends on the scales, nor they on it: it is found at usual
   * scales, then scales are, then it once more at the best scales.
   */
  run(): Candidate[] {
    const usual = { step: this.#sizes.most, waterline: WATERLINES[0], margin: WEIGHT_MARGIN.first }
    const first = this.#draft(usual, CHAINS)
    // Scales decide over tens of bits, not over a multiple of the modulus.
    if (first.every(({ excessBits }) => excessBits > MAX_LOG_QP[this.#ring])) return first
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
   * Candidates whose weights have just the scale that the demanded precision takes. One bit of scale is one
   * bit of precision until other noise takes over.
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

  /** The scales of the best candidates that fit, the best first. */
  #bestScales(candidates: readonly Candidate[]): Scales[] {
    const fitting = candidates.filter((candidate) => fits(candidate, this.#request))
    const cost = (candidate: Candidate) => costOf(this.#request.objective, candidate)
    const policies = new Set(fitting.sort((a, b) => cost(a) - cost(b)).map(({ draft }) => draft.policy))
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
 * @param precisionBits of the answer
 * @param deviation of the logits, which it is relative to
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

/** The layout in which the client packs the input. @param slots of one image */
export function inputLayout(graph: Graph, slots: number): Layout {
  const input = graph.nodes.find((node) => node.kind === 'input')!
  return chooseLayout(slots, input.shape, reachAt(graph, input.shape))
}
