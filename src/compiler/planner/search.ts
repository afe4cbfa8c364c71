import { rotationSteps } from '../../circuit/keys.ts'
import { digitCount, MAX_LOG_QP } from '../../circuit/parameters.ts'
import type { Layout } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { circuitNoise } from '../analysis/noise.ts'
import type { Graph } from '../graph/graph.ts'
import { CircuitBuilder, type ScalePolicy } from '../lowering/builder.ts'
import { lowerGraph } from '../lowering/lower.ts'
import type { RotationStrategy } from '../lowering/strategy.ts'
import { chooseLayout } from '../packing/choose.ts'
import { reachOf, tapsOf } from '../packing/taps.ts'
import {
  bitsOf,
  DRAFT_LEVELS,
  DraftChain,
  dataPrimes,
  leastSpecialBits,
  type PlannedChain,
  type PrimeSizes,
  specialPrimeChoices,
} from './chain.ts'
import { circuitSeconds } from './cost.ts'
import { chooseStrategy } from './strategies.ts'
import type { Target } from './target.ts'

export type Objective = 'latency' | 'traffic' | 'keys'

/** What the user asks of a plan. */
export interface Demands {
  readonly target: Target
  readonly rings: readonly number[]
  readonly objective: Objective
  /** Bits by which the logits' error lies below their root mean square. */
  readonly precisionBits: number
  /** Largest prime; fewer, larger primes make fewer digits. */
  readonly maxPrimeBits: number
}

/** A way to run the graph, with what a draft of its circuit showed. */
export interface Candidate {
  readonly chain: PlannedChain
  /** The special primes; undefined when the candidate exceeds the budget. */
  readonly special: readonly bigint[] | undefined
  /** Sizes that the primes were chosen from. */
  readonly sizes: PrimeSizes
  readonly policy: ScalePolicy
  readonly strategy: RotationStrategy
  readonly layout: Layout
  readonly seconds: number
  readonly keyBytes: number
  readonly queryBytes: number
  /** Estimate without knowledge of the weights, which may be off by a bit or two. */
  readonly precisionBits: number
  /** Bits beyond the security table's limit; 0 or less when it fits. */
  readonly excessBits: number
}

/** Honest logits are below 2^LOGIT_BITS in absolute value, whatever the network. */
export const LOGIT_BITS = 7
/** Root mean square that logits of trained networks have, which precision is stated against. */
const LOGIT_RMS = 1.5
/** How far a draft's precision may be off. */
const DRAFT_TOLERANCE_BITS = 0.25
/** Sign, and rounding of the base prime's size. */
const BASE_SLACK_BITS = 2

/**
 * Drafts a circuit for every combination of ring, least rescaling, waterline and weight precision, with the best way to spend
 * rotations, and weighs every number of special primes that fits.
 *
 * @returns the candidates that fit the security table, best first for the objective
 * @throws DEPTH_EXCEEDED with layer, missing bits and remedies when none fits
 */
export function searchPlans(graph: Graph, demands: Demands): Candidate[] {
  const tried: Candidate[] = []
  // A larger ring is slower and its keys are larger, whatever the objective: the smallest that fits is taken.
  for (const ring of [...demands.rings].sort((a, b) => a - b)) {
    const drafts = draftRing(graph, ring, demands)
    const fitting = drafts.filter((draft) => fits(draft, demands))
    const cost = objectives[demands.objective]
    if (fitting.length > 0) return fitting.sort((a, b) => cost(a) - cost(b))
    tried.push(...drafts)
  }
  throw depthExceeded(graph, tried, demands)
}

const fits = (draft: Candidate, demands: Demands): boolean =>
  draft.special !== undefined && draft.precisionBits >= demands.precisionBits - DRAFT_TOLERANCE_BITS

/** Keys beyond this weigh ten times as much: whoever asks for low latency waits for the upload too, once. */
const COMFORTABLE_KEY_BYTES = 200e6

// Ties are broken by the other figures: a second, ten megabytes of keys and a megabyte of query weigh the same.
const objectives: Record<Objective, (c: Candidate) => number> = {
  latency: (c) =>
    c.seconds + c.keyBytes / 1e9 + Math.max(0, c.keyBytes - COMFORTABLE_KEY_BYTES) / 1e8 + c.queryBytes / 1e8,
  traffic: (c) => c.queryBytes / 1e6 + c.seconds / 10 + c.keyBytes / 1e9,
  keys: (c) => c.keyBytes / 1e7 + c.seconds / 10,
}

/** Bits by which an error lies below the logits' root mean square. */
export const precisionOf = (deviation: number): number => Math.log2(LOGIT_RMS / deviation)

/** The error that a precision allows. */
export const errorAt = (precisionBits: number): number => LOGIT_RMS * 2 ** -precisionBits

/** The share of the answer's error that the server may spend on drowning noise, after averaging the copies of a logit. */
const FLOODING_SHARE = 1 / 2

/** Deviation of the flooding noise in the mean of a logit's copies. */
export const floodingError = (precisionBits: number): number => errorAt(precisionBits) * FLOODING_SHARE

const WATERLINES = [22, 23, 24, 25, 26, 27, 28, 30, 32, 34, 37]
/** Least rescalings that are tried: so many between the target's smallest prime and its largest. */
const STEPS = 11
/** Bits that weights carry beyond the precision of the answer, at first, and at least and at most. */
const WEIGHT_MARGIN = { first: 7.5, least: 2, most: 14 }
/** Weights' scales are tried in such fractions of a bit. */
const WEIGHT_GRAIN = 1 / 4
/** Bits of precision to spare that are tried, should the finished circuit be less precise than its draft. */
const PRECISION_RESERVES = [0, 0.5]

function draftRing(graph: Graph, ring: number, demands: Demands): Candidate[] {
  const { target, objective, precisionBits } = demands
  const layout = inputLayout(graph, ring / 2)
  const { least } = target.primeSizes
  const sizes = { least, most: Math.min(target.primeSizes.most, demands.maxPrimeBits) }
  const candidates = (scales: Scales, strategy: RotationStrategy): Candidate[] => {
    const policy = policyFor(layout, ring, scales, precisionBits)
    return draft(graph, { ring, sizes, policy, strategy, layout, demands })
  }
  // The best way to spend rotations hardly depends on the scales, so it is found once.
  const trials = new Map<RotationStrategy, Candidate>()
  const usual: Scales = { step: sizes.most, waterline: WATERLINES[0], margin: WEIGHT_MARGIN.first }
  const strategy = chooseStrategy(target.name, layout.interleave, (tried) => {
    const best = cheapest(candidates(usual, tried), objective)
    trials.set(tried, best)
    return objectives[objective](best)
  })
  // Scales decide over tens of bits, not over a multiple of the modulus.
  if (trials.get(strategy)!.excessBits > MAX_LOG_QP[ring]) return [...trials.values()]
  return stepsBetween(sizes).flatMap((step) =>
    WATERLINES.flatMap((waterline) =>
      withPrecision(precisionBits, (margin) => candidates({ step, waterline, margin }, strategy)),
    ),
  )
}

function stepsBetween({ least, most }: PrimeSizes): number[] {
  const steps = Array.from({ length: STEPS }, (_, i) =>
    Math.round(least + (i * (most - least)) / (STEPS - 1)),
  )
  return [...new Set(steps)]
}

/**
 * Candidates whose weights have just the scale that the demanded precision takes. One bit of scale is one bit of
 * precision until other noise takes over.
 */
function withPrecision(precisionBits: number, candidates: (margin: number) => Candidate[]): Candidate[] {
  const first = candidates(WEIGHT_MARGIN.first)
  const reached = first.reduce((best, candidate) => Math.max(best, candidate.precisionBits), -Infinity)
  if (!Number.isFinite(reached)) return first
  const margins = PRECISION_RESERVES.map((reserve) => {
    const exact = WEIGHT_MARGIN.first + precisionBits + reserve - reached
    const grained = Math.ceil(exact / WEIGHT_GRAIN) * WEIGHT_GRAIN
    return Math.min(WEIGHT_MARGIN.most, Math.max(WEIGHT_MARGIN.least, grained))
  })
  return [...first, ...margins.flatMap(candidates)]
}

function cheapest(candidates: readonly Candidate[], objective: Objective): Candidate {
  const cost = objectives[objective]
  return candidates.reduce((a, b) => (cost(b) < cost(a) ? b : a))
}

/** What a policy is made from, in bits. */
interface Scales {
  readonly step: number
  readonly waterline: number
  /** Bits that weights carry beyond the precision of the answer. */
  readonly margin: number
}

/** Full-size plaintexts carry as many more bits than periodic ones as their rounding spreads over slots. */
function policyFor(
  layout: Layout,
  ring: number,
  { step, waterline, margin }: Scales,
  precisionBits: number,
): ScalePolicy {
  const weight = precisionBits + margin
  const spread = Math.ceil(Math.log2(ring / (2 * layout.interleave)) / 2)
  return { waterline, step, weight, mask: weight + spread, input: waterline + 4 }
}

/** The layout in which the client packs the input. */
export function inputLayout(graph: Graph, slots: number): Layout {
  const input = graph.nodes.find((node) => node.kind === 'input')!
  const reaches = graph.nodes.map((node) =>
    node.kind === 'conv' && node.shape[1] === input.shape[1] ? reachOf(tapsOf(node)) : 0,
  )
  return chooseLayout(slots, input.shape, Math.max(...reaches))
}

interface Draft {
  readonly ring: number
  readonly sizes: PrimeSizes
  readonly policy: ScalePolicy
  readonly strategy: RotationStrategy
  readonly layout: Layout
  readonly demands: Demands
}

/** One circuit, weighed with every number of special primes that fits; none when the ring has too few primes. */
function draft(graph: Graph, { ring, sizes, policy, strategy, layout, demands }: Draft): Candidate[] {
  const { target, precisionBits } = demands
  const draftChain = new DraftChain(ring, sizes)
  const builder = new CircuitBuilder(draftChain, policy, false)
  const { value } = lowerGraph(builder, graph, layout, strategy)
  const result = builder.type(value)
  const baseBits = Math.ceil(Math.log2(result.scale)) + LOGIT_BITS + BASE_SLACK_BITS
  const finished = draftChain.finish(result.level, baseBits)
  if (finished === undefined) return []
  const { chain, left } = finished
  const unusedLevels = result.level - (chain.base.length - 1)
  const rotations = rotationSteps({ ops: builder.ops }).length
  const ops = builder.ops.map((op) => ({ ...op, level: op.level - unusedLevels }))
  const weigh = (special: readonly bigint[] | undefined): Candidate => {
    const primes = dataPrimes(chain)
    // Beyond the budget a special prime that is too many shows what the candidate would be.
    const specialPrimes = special ?? [1n << BigInt(sizes.most)]
    const noise = circuitNoise(ops, builder.statistics, { ring, primes, specialPrimes })
    const costed = { ops, result: value, ring, specialPrimes: specialPrimes.length }
    return {
      precisionBits: precisionOf(Math.hypot(noise[value], floodingError(precisionBits))),
      chain,
      special,
      sizes,
      policy,
      strategy,
      layout,
      seconds: circuitSeconds(costed, target.costs),
      keyBytes: keyBytes(chain, specialPrimes, rotations),
      queryBytes: (layout.ciphertexts * ring * bitsOf(primes)) / 8,
      excessBits: Math.ceil(bitsOf(primes) + leastSpecialBits(chain) - MAX_LOG_QP[ring]),
    }
  }
  const choices = specialPrimeChoices(chain, left, sizes, target.mostSpecialPrimes)
  return choices.length > 0 ? choices.map(weigh) : [weigh(undefined)]
}

/** Seeded key-switching keys: one polynomial over all primes for each digit. */
function keyBytes(chain: PlannedChain, specialPrimes: readonly bigint[], rotations: number): number {
  const primes = dataPrimes(chain)
  const polynomial = (chain.ring * bitsOf([...primes, ...specialPrimes])) / 8
  return polynomial * (1 + digitCount({ primes, specialPrimes }) * (rotations + 1))
}

function depthExceeded(graph: Graph, drafts: readonly Candidate[], demands: Demands): PolyVeilError {
  const best = drafts.reduce((a, b) => (b.excessBits < a.excessBits ? b : a))
  const layer = firstLayerBeyond(graph, best)
  const limit = MAX_LOG_QP[best.chain.ring]
  const needed = limit + best.excessBits
  const largest = Math.max(...Object.keys(MAX_LOG_QP).map(Number))
  const larger = best.chain.ring < largest ? `a larger ring (--ring ${best.chain.ring * 2}), ` : ''
  return new PolyVeilError(
    'DEPTH_EXCEEDED',
    `The network needs ${needed} modulus bits in one shot; ring ${best.chain.ring} allows ${limit}: ${best.excessBits} bits ` +
      `too many, exhausted at layer ${layer}. What would help: ${larger}fewer bits of precision ` +
      `(--precision below ${demands.precisionBits}), or a shallower network`,
    { ring: best.chain.ring, neededBits: needed, limitBits: limit, missingBits: best.excessBits, layer },
  )
}

/** The layer in which a draft uses up the modulus that its ring allows. */
function firstLayerBeyond(graph: Graph, { chain, policy, strategy, layout, sizes }: Candidate): string {
  const builder = new CircuitBuilder(new DraftChain(chain.ring, sizes), policy, false)
  lowerGraph(builder, graph, layout, strategy)
  const bits = MAX_LOG_QP[chain.ring] - bitsOf(chain.base) - leastSpecialBits(chain)
  // Levels are counted from the top, whose primes are used up first.
  const fromTop = chain.levels.toReversed()
  const levels = fromTop.findIndex((_, index) => bitsOf(fromTop.slice(0, index + 1)) > bits)
  const beyond = builder.ops.find((op) => DRAFT_LEVELS - op.level > levels)
  return beyond ? builder.layers[beyond.layer].name : 'head'
}
