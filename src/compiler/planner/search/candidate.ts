import type { Layout } from '../../../circuit/types.ts'
import type { Graph } from '../../graph/graph.ts'
import type { ScalePolicy } from '../../lowering/builder/scale-policy.ts'
import type { Cuts } from '../../lowering/lower.ts'
import type { Strategies } from '../../lowering/strategy.ts'
import type { PlannedChain, PrimeSizes } from '../modulus/chain.ts'
import type { Link } from '../target/refresh-cost.ts'
import type { Target } from '../target/target.ts'
import type { InterleaveGroup } from './interleave-groups.ts'
import type { RestorationPlan } from './restoration.ts'

/** The choices from which a candidate's circuit is lowered. */
export interface LoweringPlan {
  readonly ring: number
  /** Images that share the ciphertexts. */
  readonly batch: number
  /** Copies of the image in its slots; 1 by default. */
  readonly copies?: number
  /** Layout of the input, in the slots of one copy of one image. */
  readonly layout: Layout
  /** Sizes of the primes, in bits. */
  readonly sizes: PrimeSizes
  readonly policy: ScalePolicy
  readonly strategies: Strategies
  readonly target: Target
  /** The requested precision. The flooding noise follows from it. */
  readonly precisionBits: number
  /** The modulus between two refreshes; absent for one shot. */
  readonly segment?: Segment
  /** The link that refreshes go over. */
  readonly link?: Link
  /** As in `PlanRequest`. */
  readonly mostRestorationMemory?: number
}

/** The modulus between two refreshes. */
export interface Segment {
  /** Number of levels for rescaling. */
  readonly levels: number
  /** Largest size of the levels' primes, in bits. */
  readonly primeBits: number
  /** Present where the server restores levels; the client refreshes values otherwise. */
  readonly restoration?: RestorationPlan
}

/** Segments for plans whose ciphertexts have the same slots. */
export interface SegmentSpace {
  readonly ring: number
  /** Copies of the image in its slots. */
  readonly copies: number
  /** Those with most levels first. */
  readonly segments: readonly Segment[]
  /**
   * Ways to vary a segment, which are tried one after the other with the best segments so far; none by
   * default.
   */
  readonly variations?: readonly ((segment: Segment) => Segment[])[]
}

/** The refreshes or restorations of a candidate. */
export interface PlannedRefresh {
  readonly cuts: Cuts
  /** log2 of the modulus that the refresh level, or the raise level, needs. */
  readonly modulusBits: number
  /** Number of ciphertexts in all refreshes; 0 where the server restores levels. */
  readonly ciphertexts: number
}

/** A way to run the graph, with figures from a draft of its circuit. */
export interface Candidate {
  readonly graph: Graph
  readonly plan: LoweringPlan
  readonly chain: PlannedChain
  /** The special primes; undefined when the candidate exceeds the budget. */
  readonly special: readonly bigint[] | undefined
  /** Absent for one shot. */
  readonly refresh?: PlannedRefresh
  /** Seconds of the server's evaluation, on one core. */
  readonly seconds: number
  /** Cost and rotations of the layers of each interleave. */
  readonly groups: ReadonlyMap<number, InterleaveGroup>
  /** Seconds of all refreshes: the work of both sides, and the wait for the network. */
  readonly refreshSeconds: number
  readonly refreshBytes: number
  readonly keyBytes: number
  /**
   * Bytes of an engine's memory for keys and for the transforms' constants where the server restores levels;
   * 0 for other plans.
   */
  readonly restorationMemory: number
  /** Whether the keys can be uploaded, and leave room for weights and values in an engine's memory. */
  readonly keysFit: boolean
  readonly queryBytes: number
  /** Estimated from the statistics of constants, with the flooding noise. */
  readonly precisionBits: number
  /** Bits beyond the limit of the security table; 0 or less when the candidate fits. */
  readonly excessBits: number
}

/** A candidate within the budget of the security table. */
export type FittingCandidate = Candidate & { readonly special: readonly bigint[] }

export const isWithinBudget = (candidate: Candidate): candidate is FittingCandidate =>
  candidate.special !== undefined
