import { MAX_LOG_QP } from '../circuit/parameters/parameters.ts'
import type { Circuit } from '../circuit/types.ts'
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
import { bestOfEach, type Emitted } from './planner/search/emitted.ts'
import { largestFreeBatch } from './planner/search/free-batch.ts'
import { costOf, type Objective } from './planner/search/objective.ts'
import { type OtherWay, otherWay, type RefreshChoice, waysFor } from './planner/search/ways.ts'
import type { Link } from './planner/target/refresh-cost.ts'
import { DEFAULT_TARGET, type Target, type TargetName, targetNamed } from './planner/target/target.ts'
import { prepareInput } from './prepare-input.ts'
import { type PlanReport, planReport } from './report.ts'

export interface CompileOptions {
  /** Name under which the circuit is served. */
  readonly model: string
  readonly labels?: readonly string[]
  /** How clients turn pictures into inputs; null when the circuit takes preprocessed tensors only. */
  readonly preprocessing: Preprocessing | null
  /**
   * Images that share the ciphertexts, a power of two; 1 by default. With `auto`, the largest batch that
   * costs hardly more than one image, because the other images take slots that would be empty.
   */
  readonly batch?: number | 'auto'
  /** Rings to consider; by default all of the security table. */
  readonly rings?: readonly number[]
  /** Bits by which the error of the logits lies below their root mean square; 8.5 by default. */
  readonly precisionBits?: number
  readonly objective?: Objective
  /**
   * Whether the client refreshes values. With `auto`, the default, it does where one shot does not fit or
   * costs more for the objective.
   */
  readonly refresh?: RefreshChoice
  /** The engine to plan for. */
  readonly target?: TargetName
  /**
   * Speeds of the SIMD engine's kernels on the machine that will execute the circuit; by default those of the
   * reference machine.
   */
  readonly speeds?: SimdSpeeds
  /** The link between client and server, which refreshes wait for. By default both are on one machine. */
  readonly link?: Link
  /** Size of the largest prime, in bits; by default the largest that the target's arithmetic supports. */
  readonly maxPrimeBits?: number
  /**
   * Preprocessed images, each [C, H, W] of the network. Without images, ranges come from poly-BN statistics.
   */
  readonly calibration?: readonly Float64Array[]
}

export interface Compiled {
  readonly circuit: Circuit
  readonly plan: PlanReport
  /** Warnings about the calibration images. */
  readonly warnings: readonly string[]
  /**
   * Figures of one shot where the plan has refreshes, and of refreshes where it is one shot. Absent where
   * that does not fit, where the best plan with refreshes has none after all, or where `refresh` does not
   * allow it.
   */
  readonly otherWay?: OtherWay
}

/** Default precision: an error of 0.004 on logits of deviation 1.5. */
export const DEFAULT_PRECISION_BITS = 8.5

/**
 * Compiles a network into a circuit: prepares the input, folds, plans and lowers. The builder types every
 * operation by the circuit's laws; `writeCircuit` verifies the whole circuit before it writes a file.
 *
 * @throws DEPTH_EXCEEDED when no parameters of 128 bits of security hold the network at the requested
 *   precision
 * @throws CONFIG_INVALID when a map does not fit the slots of an image, when calibration images are beyond
 *   the circuit's input bound, or when the network diverges on them
 */
export function compile(network: Network, options: CompileOptions): Compiled {
  const prepared = prepareInput(networkGraph(network), options.preprocessing)
  const images = (options.calibration ?? []).map(prepared.pack)
  const imageFindings = checkedImages(network, options, prepared.spec.bound)
  const { graph, agreements } = foldMeasured(prepared.graph, images)
  const warnings = images.length > 0 ? [...imageFindings, ...agreementWarnings(agreements)] : []
  const planOf = (batch: number): Planned => bestPlan(graph, options, { ...prepared, images }, batch)
  const { batch = 1 } = options
  const { circuit, target, otherWay } = batch === 'auto' ? largestFreeBatch(planOf) : planOf(batch)
  return { circuit, plan: planReport(circuit, target), warnings, ...(otherWay && { otherWay }) }
}

function checkedImages(
  { height, width }: Network,
  { calibration = [], preprocessing }: CompileOptions,
  bound: number,
): string[] {
  return calibration.length === 0 ? [] : imageWarnings(calibration, { preprocessing, height, width, bound })
}

/** A circuit with the cost of its plan by the objective. */
interface Planned {
  readonly circuit: Circuit
  readonly target: Target
  readonly cost: number
  readonly otherWay: OtherWay | undefined
}

/** Packing of images, and the packed calibration images. */
interface Input {
  readonly spec: PartialInput
  readonly images: readonly Float64Array[]
}

/** The best circuit for a batch of images that has the requested precision. */
function bestPlan(graph: Graph, options: CompileOptions, { spec, images }: Input, batch: number): Planned {
  const { model, labels = [], precisionBits = DEFAULT_PRECISION_BITS } = options
  const target = targetNamed(options.target ?? DEFAULT_TARGET, options.speeds)
  const objective = options.objective ?? 'latency'
  const ways = waysFor(graph, options.refresh ?? 'auto', {
    target,
    rings: ringsFor(graph, options.rings ?? Object.keys(MAX_LOG_QP).map(Number), batch),
    batch,
    objective,
    precisionBits,
    maxPrimeBits: options.maxPrimeBits ?? target.primeSizes.most,
    link: options.link,
  })
  const cost = ({ candidate }: Emitted): number => costOf(objective, candidate)
  const emitted = bestOfEach(ways, precisionBits, (candidate) =>
    emit(candidate, { model, labels, input: spec, precisionBits, target }),
  )
  const [taken, other] = emitted.sort((a, b) => cost(a) - cost(b))
  return {
    circuit: completeCircuit(taken.lowered, layerPrecisions(taken.lowered, images)),
    target,
    cost: cost(taken),
    otherWay: other && otherWay(other.candidate, taken.candidate),
  }
}
