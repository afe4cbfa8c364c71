import type { Layout } from '../../../circuit/types.ts'
import type { Graph } from '../../graph/graph.ts'
import type { ScalePolicy } from '../../lowering/builder/scale-policy.ts'
import type { Cuts } from '../../lowering/lower.ts'
import type { Strategies } from '../../lowering/strategy.ts'
import type { PlannedChain, PrimeSizes } from '../modulus/chain.ts'
import type { Link } from '../target/refresh-cost.ts'
import type { Target } from '../target/target.ts'
import type { InterleaveGroup } from './interleave-groups.ts'

/** What a draft is made from. */
export interface LoweringPlan {
  readonly ring: number
  /** Images that share the ciphertexts. */
  readonly batch: number
  /** Of the input, in the slots of one image. */
  readonly layout: Layout
  /** Sizes that primes may have. */
  readonly sizes: PrimeSizes
  readonly policy: ScalePolicy
  readonly strategies: Strategies
  readonly target: Target
  /** Precision asked for, which decides about the flooding noise. */
  readonly precisionBits: number
  /** What lies between two refreshes; absent for one shot. */
  readonly segment?: Segment
  /** The link that refreshes go over. */
  readonly link?: Link
}

/** The modulus between two refreshes. */
export interface Segment {
  /** Levels that rescaling may use up. */
  readonly levels: number
  /** Most bits of their primes. */
  readonly primeBits: number
}

/** How a candidate refreshes values. */
export interface PlannedRefresh {
  readonly cuts: Cuts
  /** log2 of the modulus that the refresh level has to have. */
  readonly modulusBits: number
  /** Ciphertexts that are refreshed, all together. */
  readonly ciphertexts: number
}

/** A way to run the graph, with what a draft of its circuit showed. */
export interface Candidate {
  readonly graph: Graph
  readonly draft: LoweringPlan
  readonly chain: PlannedChain
  /** The special primes; undefined when the candidate exceeds the budget. */
  readonly special: readonly bigint[] | undefined
  /** Absent for one shot. */
  readonly refresh?: PlannedRefresh
  /** Of the server's evaluation, on one core. */
  readonly seconds: number
  /** What the layers of each interleave have of it, and which rotations they take. */
  readonly groups: ReadonlyMap<number, InterleaveGroup>
  /** Of refreshes: both sides' work, and waiting for the network. */
  readonly refreshSeconds: number
  readonly refreshBytes: number
  readonly keyBytes: number
  readonly queryBytes: number
  /** Estimate without knowledge of the weights, flooding included. */
  readonly precisionBits: number
  /** Bits beyond the security table's limit; 0 or less when it fits. */
  readonly excessBits: number
}
