import { rotationSteps } from '../../circuit/keys.ts'
import { MAX_LOG_QP } from '../../circuit/parameters.ts'
import type { Layout } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
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
  /** Bits beyond the security table's limit; 0 or less when it fits. */
  readonly excessBits: number
}

/** Honest logits are below 2^LOGIT_BITS in absolute value, whatever the network. */
export const LOGIT_BITS = 7
/** Sign, and rounding of the base prime's size. */
const BASE_SLACK_BITS = 2

/**
 * Drafts a circuit for every combination of ring, prime size, waterline and baby steps.
 *
 * @returns the candidates that fit the security table, best first for the objective
 * @throws DEPTH_EXCEEDED with layer, missing bits and remedies when none fits
 */
export function searchPlans(graph: Graph, demands: Demands): Candidate[] {
  const drafts = demands.rings.flatMap((ring) => draftRing(graph, ring, demands))
  const fitting = drafts.filter((draft) => draft.special !== undefined)
  if (fitting.length === 0) throw depthExceeded(graph, drafts, demands)
  const cost = objectives[demands.objective]
  return fitting.sort((a, b) => cost(a) - cost(b))
}

// Ties are broken by the other figures: a second, ten megabytes of keys and a megabyte of query weigh the same.
const objectives: Record<Objective, (c: Candidate) => number> = {
  latency: (c) => c.seconds + c.keyBytes / 1e9 + c.queryBytes / 1e8,
  traffic: (c) => c.queryBytes / 1e6 + c.seconds / 10 + c.keyBytes / 1e9,
  keys: (c) => c.keyBytes / 1e7 + c.seconds / 10,
}

const PRIME_STEP = 2
const WATERLINES = [28, 30, 32, 34, 36]
const BABIES = [3, 5, 7, 9]

function draftRing(graph: Graph, ring: number, demands: Demands): Candidate[] {
  const candidates: Candidate[] = []
  const layout = inputLayout(graph, ring / 2)
  for (let prime = 30; prime <= Math.min(MAX_PRIME_BITS, demands.maxPrimeBits); prime += PRIME_STEP) {
    for (const waterline of WATERLINES) {
      for (const babies of BABIES) {
        const policy = policyFor(layout, ring, waterline, demands.precisionBits)
        candidates.push(draft(graph, { ring, prime, policy, babies, layout }))
      }
    }
  }
  return candidates
}

/** Weights carry a few bits more than the answer needs; full-size plaintexts as many more as their rounding spreads. */
function policyFor(layout: Layout, ring: number, waterline: number, precisionBits: number): ScalePolicy {
  const weight = precisionBits + 5
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
  return {
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
