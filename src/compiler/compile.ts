import { MAX_LOG_QP } from '../circuit/parameters/parameters.ts'
import type { Circuit } from '../circuit/types.ts'
import { PolyVeilError } from '../errors/index.ts'
import type { Network } from '../models/network.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import type { SimdSpeeds } from '../schedule/cost.ts'
import { agreementWarnings, imageWarnings } from './analysis/calibration.ts'
import { emit, type PartialInput } from './emit.ts'
import { foldMeasured } from './fold.ts'
import { networkGraph } from './graph/build.ts'
import type { Graph } from './graph/graph.ts'
import { layerPrecisions } from './layer-precision.ts'
import { completeCircuit } from './lowered-circuit.ts'
import { ringsFor } from './planner/modulus/rings.ts'
import type { Candidate } from './planner/search/candidate.ts'
import { largestFreeBatch } from './planner/search/free-batch.ts'
import { imprecise } from './planner/search/no-plan.ts'
import { costOf, type Objective } from './planner/search/objective.ts'
import { type PlanRequest, searchPlans } from './planner/search/search.ts'
import { searchRefreshed } from './planner/search/search-refreshed.ts'
import type { Link } from './planner/target/refresh-cost.ts'
import { DEFAULT_TARGET, type Target, type TargetName, targetNamed } from './planner/target/target.ts'
import { prepareInput } from './prepare-input.ts'
import { type PlanReport, planReport } from './report.ts'

export interface CompileOptions {
  /** Name under which the circuit is served. */
  readonly model: string
  readonly labels?: readonly string[]
  /** How clients make inputs of pictures; null: the circuit takes preprocessed tensors only. */
  readonly preprocessing: Preprocessing | null
  /**
   * Images that share the ciphertexts, a power of two; `auto`: as many as take no slots but empty ones, so
   * that the plan costs hardly more than that of one image. Default: 1.
   */
  readonly batch?: number | 'auto'
  /** Rings to consider; default: all that the security table knows. */
  readonly rings?: readonly number[]
  /** Bits by which the error of the logits lies below their root mean square; default 8.5. */
  readonly precisionBits?: number
  readonly objective?: Objective
  /** Whether values may be refreshed by the client: `auto` where one shot does not fit; default. */
  readonly refresh?: RefreshChoice
  /** The engine to plan for. */
  readonly target?: TargetName
  /**
   * Speeds of the SIMD engine's kernels on the machine that will execute; default: those of the reference
   * machine.
   */
  readonly speeds?: SimdSpeeds
  /** The link between client and server, which refreshes wait for; by default both are on one machine. */
  readonly link?: Link
  /** Largest prime in bits; default: the largest that the target's arithmetic takes. */
  readonly maxPrimeBits?: number
  /** Preprocessed images, each [C, H, W] of the network; none: ranges come from poly-BN statistics. */
  readonly calibration?: readonly Float64Array[]
}

export type RefreshChoice = 'auto' | 'never' | 'always'

export interface Compiled {
  readonly circuit: Circuit
  readonly plan: PlanReport
  /** What speaks against the calibration images, in words; empty where nothing does. */
  readonly warnings: readonly string[]
}

/** An error of 0.004 on logits of deviation 1.5. */
export const DEFAULT_PRECISION_BITS = 8.5

/**
 * Compiles a network into a circuit: prepares the input, folds, plans, lowers, verifies.
 *
 * @throws DEPTH_EXCEEDED when no parameters at 128 bits hold the network at the demanded precision
 * @throws CONFIG_INVALID when a map does not fit an image's share of a ciphertext, or calibration images are
 *   none that the circuit could take, or let the network diverge
 */
export function compile(network: Network, options: CompileOptions): Compiled {
  const prepared = prepareInput(networkGraph(network), options.preprocessing)
  const images = (options.calibration ?? []).map(prepared.pack)
  const imageFindings = checkedImages(network, options, prepared.spec.bound)
  const { graph, agreements } = foldMeasured(prepared.graph, images)
  const warnings = images.length > 0 ? [...imageFindings, ...agreementWarnings(agreements)] : []
  const planOf = (batch: number): Planned => bestPlan(graph, options, { ...prepared, images }, batch)
  const { batch = 1 } = options
  const { circuit, target } = batch === 'auto' ? largestFreeBatch(planOf) : planOf(batch)
  return { circuit, plan: planReport(circuit, target), warnings }
}

function checkedImages(
  { height, width }: Network,
  { calibration = [], preprocessing }: CompileOptions,
  bound: number,
): string[] {
  return calibration.length === 0 ? [] : imageWarnings(calibration, { preprocessing, height, width, bound })
}

/** A circuit with what its plan costs by the objective. */
interface Planned {
  readonly circuit: Circuit
  readonly target: Target
  readonly cost: number
}

/** How images come in, and those that the plan is made on. */
interface Input {
  readonly spec: PartialInput
  readonly images: readonly Float64Array[]
}

/** The best circuit for a batch of images that is as precise as demanded. */
function bestPlan(graph: Graph, options: CompileOptions, { spec, images }: Input, batch: number): Planned {
  const { model, labels = [], precisionBits = DEFAULT_PRECISION_BITS } = options
  const target = targetNamed(options.target ?? DEFAULT_TARGET, options.speeds)
  const objective = options.objective ?? 'latency'
  const candidates = candidatesFor(graph, options.refresh ?? 'auto', {
    target,
    rings: ringsFor(graph, options.rings ?? Object.keys(MAX_LOG_QP).map(Number), batch),
    batch,
    objective,
    precisionBits,
    maxPrimeBits: options.maxPrimeBits ?? target.primeSizes.most,
    link: options.link,
  })
  let bestPrecision = -Infinity
  for (const candidate of candidates) {
    const lowered = emit(candidate, { model, labels, input: spec, precisionBits, target })
    if (lowered === undefined) continue
    const reached = lowered.estimate.precisionBits
    bestPrecision = Math.max(bestPrecision, reached)
    if (reached < precisionBits) continue
    const circuit = completeCircuit(lowered, layerPrecisions(lowered, images))
    return { circuit, target, cost: costOf(objective, candidate) }
  }
  throw imprecise(precisionBits, bestPrecision)
}

/** One shot where it fits, unless refreshes are asked for. */
function candidatesFor(graph: Graph, refresh: RefreshChoice, request: PlanRequest): Candidate[] {
  if (refresh === 'always') return searchRefreshed(graph, request)
  try {
    return searchPlans(graph, request)
  } catch (error) {
    const isTooDeep = error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED'
    if (refresh === 'never' || !isTooDeep || request.target.name !== 'simd') throw error
    return searchRefreshed(graph, request)
  }
}
