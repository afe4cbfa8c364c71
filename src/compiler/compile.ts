import { MAX_LOG_QP } from '../circuit/parameters.ts'
import type { Circuit, InputSpec, OutputSpec } from '../circuit/types.ts'
import { verifyCircuit } from '../circuit/verify.ts'
import { PolyVeilError } from '../errors/index.ts'
import type { Network } from '../models/network.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import { type SiteNoise, siteNoises } from './analysis/noise.ts'
import { fold } from './fold.ts'
import { networkGraph } from './graph/build.ts'
import type { Graph } from './graph/graph.ts'
import { CircuitBuilder } from './lowering/builder.ts'
import { lowerWithCuts } from './lowering/lower.ts'
import { widen } from './lowering/widen.ts'
import { parametersOf } from './planner/chain.ts'
import type { SimdSpeeds } from './planner/cost-simd.ts'
import type { Candidate } from './planner/draft.ts'
import { estimateOf } from './planner/estimate.ts'
import { largestFreeBatch } from './planner/free-batch.ts'
import { headroomHolds } from './planner/headroom.ts'
import { imprecise } from './planner/no-plan.ts'
import { costOf, type Objective } from './planner/objective.ts'
import {
  floodingError,
  isMeasured,
  LOGIT_BITS,
  logitDeviation,
  logitError,
  precisionOf,
} from './planner/precision.ts'
import type { Link } from './planner/refresh-cost.ts'
import { imageSlots, ringsFor } from './planner/rings.ts'
import { type Demands, searchPlans } from './planner/search.ts'
import { searchRefreshed } from './planner/search-refreshed.ts'
import { DEFAULT_TARGET, type Target, type TargetName, targetNamed } from './planner/target.ts'
import { prepareInput } from './prepare-input.ts'
import { type PlanReport, planReport } from './report.ts'

export interface CompileOptions {
  /** Name under which the circuit is served. */
  readonly model: string
  readonly labels?: readonly string[]
  readonly preprocessing: Preprocessing
  /**
   * Images that share the ciphertexts, a power of two; `auto`: as many as take no slots but empty ones, so that the plan
   * costs hardly more than that of one image. Default: 1.
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
  /** Speeds of the SIMD engine's kernels on the machine that will execute; default: those of the reference machine. */
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
}

/** An error of 0.004 on logits of deviation 1.5. */
export const DEFAULT_PRECISION_BITS = 8.5
/** Of a layer in which nothing errs: no more than its double precision weights have. */
const DOUBLE_BITS = 53
/** Copies of a logit differ by the flooding noise; ten deviations are never seen. */
const TOLERANCE_DEVIATIONS = 10

/**
 * Compiles a network into a circuit: prepares the input, folds, plans, lowers, verifies.
 *
 * @throws DEPTH_EXCEEDED when no parameters at 128 bits hold the network at the demanded precision
 * @throws CONFIG_INVALID when a map does not fit an image's share of a ciphertext
 */
export function compile(network: Network, options: CompileOptions): Compiled {
  const prepared = prepareInput(networkGraph(network), options.preprocessing)
  const graph = fold(prepared.graph, (options.calibration ?? []).map(prepared.pack))
  const planOf = (batch: number): Planned => bestPlan(graph, options, prepared.spec, batch)
  const { batch = 1 } = options
  const { circuit, target } = batch === 'auto' ? largestFreeBatch(planOf) : planOf(batch)
  verifyCircuit(circuit)
  return { circuit, plan: planReport(circuit, target) }
}

/** A circuit with what its plan costs by the objective. */
interface Planned {
  readonly circuit: Circuit
  readonly target: Target
  readonly cost: number
}

/** The best circuit for a batch of images that is as precise as demanded. */
function bestPlan(graph: Graph, options: CompileOptions, input: PartialInput, batch: number): Planned {
  const precisionBits = options.precisionBits ?? DEFAULT_PRECISION_BITS
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
    const circuit = emit(candidate, options, target, input)
    if (circuit === undefined) continue
    bestPrecision = Math.max(bestPrecision, circuit.estimate.precisionBits)
    if (circuit.estimate.precisionBits < precisionBits) continue
    return { circuit, target, cost: costOf(objective, candidate) }
  }
  throw imprecise(precisionBits, bestPrecision)
}

/** One shot where it fits, unless refreshes are asked for. */
function candidatesFor(graph: Graph, refresh: RefreshChoice, demands: Demands): Candidate[] {
  if (refresh === 'always') return searchRefreshed(graph, demands)
  try {
    return searchPlans(graph, demands)
  } catch (error) {
    const isTooDeep = error instanceof PolyVeilError && error.code === 'DEPTH_EXCEEDED'
    if (refresh === 'never' || !isTooDeep || demands.target.name !== 'simd') throw error
    return searchRefreshed(graph, demands)
  }
}

type PartialInput = Pick<InputSpec, 'preprocessing' | 'image' | 'patch' | 'bound'>

/** The whole circuit of a candidate; undefined when a message would outgrow its modulus. */
function emit(
  candidate: Candidate,
  options: CompileOptions,
  target: Target,
  input: PartialInput,
): Circuit | undefined {
  const parameters = parametersOf(candidate.chain, candidate.special!)
  const { graph } = candidate
  const { layout, policy, strategies, batch } = candidate.draft
  const slots = imageSlots(parameters.ring, batch)
  const builder = new CircuitBuilder({ ...parameters, slots, batch }, policy, true)
  const refreshLevel = candidate.chain.base.length - 1
  const { refresh } = candidate
  const lowered = lowerWithCuts(
    builder,
    graph,
    { layout, strategies, refreshLevel },
    refresh?.cuts ?? new Map(),
  )
  const { period } = lowered
  const value = refresh ? builder.dropTo(lowered.value, refreshLevel) : lowered.value
  if (!headroomHolds(builder.ops, value, parameters)) return undefined
  const { ops, counts, statistics, sites, siteOf } = builder
  const body = { ops, counts, statistics, sites, siteOf, result: value }
  const noises = siteNoises(body, parameters)
  const draft: Circuit = {
    model: options.model,
    labels: options.labels ?? [],
    parameters,
    batch,
    input: {
      ...input,
      layout,
      level: parameters.topLevel,
      scale: 2 ** policy.input,
    },
    output: outputSpec(graph, builder, value, period, options.precisionBits ?? DEFAULT_PRECISION_BITS),
    layers: withPrecision(builder, noises, logitDeviation(graph)),
    ...widen(builder, batch),
    result: value,
    refresh: refresh && { level: refreshLevel, maskBits: refresh.maskBits },
    estimate: {
      seconds: 0,
      logitError: 0,
      isMeasured: false,
      precisionBits: 0,
      memoryBytes: 0,
      bytes: { keys: 0, query: 0, refreshUp: 0, refreshDown: 0, response: 0 },
    },
  }
  const copies = slots / period
  const noise = Math.hypot(...noises.map(({ logit }) => logit))
  const error = logitError(noise, draft.output.flooding / Math.sqrt(copies))
  const precision = {
    logitError: error,
    isMeasured: isMeasured(graph),
    precisionBits: precisionOf(error, logitDeviation(graph)),
  }
  return { ...draft, estimate: estimateOf(draft, precision, target) }
}

function outputSpec(
  graph: Graph,
  builder: CircuitBuilder,
  value: number,
  period: number,
  precisionBits: number,
): OutputSpec {
  const { level, scale } = builder.type(value)
  const copies = builder.chain.slots / period
  const flooding = floodingError(precisionBits, logitDeviation(graph)) * Math.sqrt(copies)
  return {
    classes: graph.nodes[graph.output].shape[0],
    period,
    level,
    scale,
    bound: 2 ** LOGIT_BITS,
    tolerance: flooding * TOLERANCE_DEVIATIONS,
    flooding,
  }
}

/** Layers with the precision that the logits would have if nothing else erred. */
function withPrecision(
  { ops, siteOf, layers }: CircuitBuilder,
  noises: readonly SiteNoise[],
  deviation: number,
): Circuit['layers'] {
  const sitesOf = layers.map(() => new Set<number>())
  ops.forEach((op, id) => {
    sitesOf[op.layer].add(siteOf[id])
  })
  return layers.map((layer, index) => {
    const error = Math.hypot(...[...sitesOf[index]].map((site) => noises[site].logit))
    return { ...layer, precisionBits: Math.min(DOUBLE_BITS, precisionOf(error, deviation)) }
  })
}
