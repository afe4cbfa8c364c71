import { rotationSteps } from '../../circuit/keys.ts'
import { MAX_LOG_QP } from '../../circuit/parameters.ts'
import type { Layout } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { circuitNoise } from '../analysis/noise.ts'
import type { Graph } from '../graph/graph.ts'
import { CircuitBuilder, type ScalePolicy } from '../lowering/builder.ts'
import { lowerGraph } from '../lowering/lower.ts'
import { chooseLayout } from '../packing/choose.ts'
import { reachOf, tapsOf } from '../packing/taps.ts'
import { type ChainBits, DRAFT_LEVELS, dataBits, draftChain, MAX_PRIME_BITS, specialBits } from './chain.ts'
import { circuitSeconds } from './cost.ts'

export type Objective = 'latency' | 'traffic' | 'keys'

/** What the user asks of a plan. */
export interface Demands {
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
  /** Size of the special prime; undefined when the candidate exceeds the budget. */
  readonly special: number | undefined
  readonly policy: ScalePolicy
  readonly babies: number
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
 * Drafts a circuit for every combination of ring, prime size, waterline and baby steps.
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

// Ties are broken by the other figures: a second, ten megabytes of keys and a megabyte of query weigh the same.
const objectives: Record<Objective, (c: Candidate) => number> = {
  latency: (c) => c.seconds + c.keyBytes / 1e9 + c.queryBytes / 1e8,
  traffic: (c) => c.queryBytes / 1e6 + c.seconds / 10 + c.keyBytes / 1e9,
  keys: (c) => c.keyBytes / 1e7 + c.seconds / 10,
}

/** Bits by which an error lies below the logits' root mean square. */
export const precisionOf = (deviation: number): number => Math.log2(LOGIT_RMS / deviation)

/** The error that a precision allows. */
export const errorAt = (precisionBits: number): number => LOGIT_RMS * 2 ** -precisionBits

const LEAST_PRIME_BITS = 30
const PRIME_STEP = 1
const WATERLINES = [26, 28, 30, 32, 34, 37]
/** Bits that weights carry beyond the precision of the answer. */
const WEIGHT_MARGINS = [5, 6, 7, 8, 9]
const BABIES = [3, 5, 7, 9]

function draftRing(graph: Graph, ring: number, demands: Demands): Candidate[] {
  const layout = inputLayout(graph, ring / 2)
  const largest = Math.min(MAX_PRIME_BITS, demands.maxPrimeBits)
  const candidate = (prime: number, waterline: number, margin: number, babies: number): Candidate => {
    const policy = policyFor(layout, ring, waterline, demands.precisionBits + margin)
    return draft(graph, { ring, prime, policy, babies, layout })
  }
  // The best number of baby steps hardly depends on the scales, so it is found once.
  const trials = BABIES.map((babies) => candidate(largest, WATERLINES[0], WEIGHT_MARGINS[0], babies))
  const { babies, excessBits } = trials.reduce((a, b) =>
    objectives[demands.objective](b) < objectives[demands.objective](a) ? b : a,
  )
  // Scales decide over tens of bits, not over a multiple of the modulus.
  if (excessBits > MAX_LOG_QP[ring]) return trials
  const candidates: Candidate[] = []
  for (let prime = LEAST_PRIME_BITS; prime <= largest; prime += PRIME_STEP) {
    for (const waterline of WATERLINES) {
      for (const margin of WEIGHT_MARGINS) candidates.push(candidate(prime, waterline, margin, babies))
    }
  }
  return candidates
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
  readonly babies: number
  readonly layout: Layout
}

function draft(graph: Graph, { ring, prime, policy, babies, layout }: Draft): Candidate {
  const builder = new CircuitBuilder(draftChain(ring, prime), policy, false)
  const { value } = lowerGraph(builder, graph, layout, babies)
  const result = builder.type(value)
  const levels = DRAFT_LEVELS - result.level
  const base = Math.ceil(Math.log2(result.scale)) + LOGIT_BITS + BASE_SLACK_BITS
  const bits: ChainBits = { ring, base, prime, levels }
  const special = base > MAX_PRIME_BITS ? undefined : specialBits(bits)
  const steps = rotationSteps({ ops: builder.ops })
  const chain = {
    ring,
    primes: new Array<bigint>(levels + 1).fill(1n << BigInt(prime)),
    specialPrimes: [1n << BigInt(special ?? prime)],
  }
  const noise = circuitNoise(
    builder.ops.map((op) => ({ ...op, level: op.level - result.level })),
    builder.statistics,
    chain,
  )
  return {
    precisionBits: precisionOf(noise[value]),
    bits,
    special,
    policy,
    babies,
    layout,
    seconds: circuitSeconds(builder.ops, ring, result.level),
    keyBytes: keyBytes(bits, special ?? prime, steps.length),
    queryBytes: (layout.ciphertexts * ring * dataBits(bits)) / 8,
    excessBits: dataBits(bits) + Math.max(base, prime) - MAX_LOG_QP[ring],
  }
}

/** Seeded key-switching keys: one polynomial over all primes for each digit. */
function keyBytes(bits: ChainBits, special: number, rotations: number): number {
  const digit = (bits.ring * (dataBits(bits) + special)) / 8
  return digit * (1 + (bits.levels + 1) * (rotations + 1))
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
  const { bits, policy, babies, layout } = candidate
  const builder = new CircuitBuilder(draftChain(bits.ring, bits.prime), policy, false)
  lowerGraph(builder, graph, layout, babies)
  const levels = Math.floor(
    (MAX_LOG_QP[bits.ring] - bits.base - Math.max(bits.base, bits.prime)) / bits.prime,
  )
  const beyond = builder.ops.find((op) => DRAFT_LEVELS - op.level > levels)
  return beyond ? builder.layers[beyond.layer].name : 'head'
}
