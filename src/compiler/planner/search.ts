import { rotationSteps } from '../../circuit/keys.ts'
import { MAX_LOG_QP } from '../../circuit/parameters.ts'
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
  baseLevel,
  basePrimes,
  type ChainBits,
  DRAFT_LEVELS,
  dataBits,
  draftChain,
  leastSpecialBits,
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
  readonly bits: ChainBits
  /** Sizes of the special primes; undefined when the candidate exceeds the budget. */
  readonly special: readonly number[] | undefined
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
const DRAFT_TOLERANCE_BITS = 1
/** Sign, and rounding of the base prime's size. */
const BASE_SLACK_BITS = 2

/**
 * Drafts a circuit for every combination of ring, prime size, waterline and weight precision, with the best way to spend
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

const PRIME_STEP = 1
const WATERLINES = [26, 28, 30, 32, 34, 37]
/** Bits that weights carry beyond the precision of the answer. */
const WEIGHT_MARGINS = [5, 6, 7, 8, 9]

function draftRing(graph: Graph, ring: number, demands: Demands): Candidate[] {
  const { target, objective, precisionBits } = demands
  const layout = inputLayout(graph, ring / 2)
  const largest = Math.min(target.mostPrimeBits, demands.maxPrimeBits)
  const candidates = (prime: number, waterline: number, margin: number, strategy: RotationStrategy) => {
    const policy = policyFor(layout, ring, waterline, precisionBits + margin)
    return draft(graph, { ring, prime, policy, strategy, layout, target })
  }
  // The best way to spend rotations hardly depends on the scales, so it is found once.
  const trials = new Map<RotationStrategy, Candidate>()
  const strategy = chooseStrategy(target.name, layout.interleave, (tried) => {
    const best = cheapest(candidates(largest, WATERLINES[0], WEIGHT_MARGINS[0], tried), objective)
    trials.set(tried, best)
    return objectives[objective](best)
  })
  // Scales decide over tens of bits, not over a multiple of the modulus.
  if (trials.get(strategy)!.excessBits > MAX_LOG_QP[ring]) return [...trials.values()]
  const all: Candidate[] = []
  for (let prime = target.leastPrimeBits; prime <= largest; prime += PRIME_STEP) {
    for (const waterline of WATERLINES) {
      for (const margin of WEIGHT_MARGINS) all.push(...candidates(prime, waterline, margin, strategy))
    }
  }
  return all
}

function cheapest(candidates: readonly Candidate[], objective: Objective): Candidate {
  const cost = objectives[objective]
  return candidates.reduce((a, b) => (cost(b) < cost(a) ? b : a))
}

/** Full-size plaintexts carry as many more bits than periodic ones as their rounding spreads over slots. */
function policyFor(layout: Layout, ring: number, waterline: number, weight: number): ScalePolicy {
  const spread = Math.ceil(Math.log2(ring / (2 * layout.interleave)) / 2)
  return { waterline, weight, mask: weight + spread, input: waterline + 4 }
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
  readonly prime: number
  readonly policy: ScalePolicy
  readonly strategy: RotationStrategy
  readonly layout: Layout
  readonly target: Target
}

/** One circuit, weighed with every number of special primes that fits; at least one candidate. */
function draft(graph: Graph, { ring, prime, policy, strategy, layout, target }: Draft): Candidate[] {
  const builder = new CircuitBuilder(draftChain(ring, prime), policy, false)
  const { value } = lowerGraph(builder, graph, layout, strategy)
  const result = builder.type(value)
  const base = basePrimes(Math.ceil(Math.log2(result.scale)) + LOGIT_BITS + BASE_SLACK_BITS, target)
  const bits: ChainBits = { ring, base, prime, levels: DRAFT_LEVELS - result.level }
  const unusedLevels = result.level - baseLevel(bits)
  const rotations = rotationSteps({ ops: builder.ops }).length
  const ops = builder.ops.map((op) => ({ ...op, level: op.level - unusedLevels }))
  const weigh = (special: readonly number[] | undefined): Candidate => {
    // Beyond the budget a special prime that is too many shows what the candidate would be.
    const specials = special ?? [leastSpecialBits(bits)]
    const chain = {
      ring,
      primes: [...base, ...new Array<number>(bits.levels).fill(prime)].map(power),
      specialPrimes: specials.map(power),
    }
    const costed = { ops, result: value, ring, specialPrimes: specials.length }
    return {
      precisionBits: precisionOf(circuitNoise(ops, builder.statistics, chain)[value]),
      bits,
      special,
      policy,
      strategy,
      layout,
      seconds: circuitSeconds(costed, target.costs),
      keyBytes: keyBytes(bits, specials, rotations),
      queryBytes: (layout.ciphertexts * ring * dataBits(bits)) / 8,
      excessBits: dataBits(bits) + leastSpecialBits(bits) - MAX_LOG_QP[ring],
    }
  }
  const choices = specialPrimeChoices(bits, target)
  return choices.length > 0 ? choices.map(weigh) : [weigh(undefined)]
}

const power = (bits: number): bigint => 1n << BigInt(bits)

/** Seeded key-switching keys: one polynomial over all primes for each digit. */
function keyBytes(bits: ChainBits, special: readonly number[], rotations: number): number {
  const all = dataBits(bits) + special.reduce((sum, size) => sum + size, 0)
  const digits = Math.ceil((bits.base.length + bits.levels) / special.length)
  return ((bits.ring * all) / 8) * (1 + digits * (rotations + 1))
}

function depthExceeded(graph: Graph, drafts: readonly Candidate[], demands: Demands): PolyVeilError {
  const best = drafts.reduce((a, b) => (b.excessBits < a.excessBits ? b : a))
  const layer = firstLayerBeyond(graph, best)
  const limit = MAX_LOG_QP[best.bits.ring]
  const needed = limit + best.excessBits
  const largest = Math.max(...Object.keys(MAX_LOG_QP).map(Number))
  const larger = best.bits.ring < largest ? `a larger ring (--ring ${best.bits.ring * 2}), ` : ''
  return new PolyVeilError(
    'DEPTH_EXCEEDED',
    `The network needs ${needed} modulus bits in one shot; ring ${best.bits.ring} allows ${limit}: ${best.excessBits} bits ` +
      `too many, exhausted at layer ${layer}. What would help: ${larger}fewer bits of precision ` +
      `(--precision below ${demands.precisionBits}), or a shallower network`,
    { ring: best.bits.ring, neededBits: needed, limitBits: limit, missingBits: best.excessBits, layer },
  )
}

/** The layer in which a draft uses up the modulus that its ring allows. */
function firstLayerBeyond(graph: Graph, candidate: Candidate): string {
  const { bits, policy, strategy, layout } = candidate
  const builder = new CircuitBuilder(draftChain(bits.ring, bits.prime), policy, false)
  lowerGraph(builder, graph, layout, strategy)
  const baseBits = dataBits({ ...bits, levels: 0 })
  const levels = Math.floor((MAX_LOG_QP[bits.ring] - baseBits - leastSpecialBits(bits)) / bits.prime)
  const beyond = builder.ops.find((op) => DRAFT_LEVELS - op.level > levels)
  return beyond ? builder.layers[beyond.layer].name : 'head'
}
