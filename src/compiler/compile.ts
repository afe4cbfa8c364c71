import type { Circuit } from '../circuit/types.ts'
import type { Network } from '../models/network.ts'
import { agreementWarnings, imageWarnings } from './analysis/calibration.ts'
import { emit, type PartialInput } from './emit.ts'
import { foldMeasured } from './fold.ts'
import { networkGraph } from './graph/build.ts'
import type { Graph } from './graph/graph.ts'
import { layerPrecisions } from './layer-precision.ts'
import { completeCircuit } from './lowered-circuit.ts'
import { type CompileOptions, checkOptions, DEFAULT_PRECISION_BITS } from './options.ts'
import { ringsFor, usualRings } from './planner/modulus/rings.ts'
import { bestOfEach, type Emit, type Emitted, isRestored } from './planner/search/emitted.ts'
import { largestFreeBatch } from './planner/search/free-batch.ts'
import { costOf } from './planner/search/objective.ts'
import { offlinePlan } from './planner/search/offline-plan.ts'
import { oneShotInstead } from './planner/search/one-shot-instead.ts'
import { requireRestorable } from './planner/search/restorable.ts'
import type { PlanRequest } from './planner/search/search.ts'
import { type OtherWay, otherWay, waysFor } from './planner/search/ways.ts'
import { DEFAULT_TARGET, type Target, targetNamed } from './planner/target/target.ts'
import { prepareInput } from './prepare-input.ts'
import { type PlanReport, planReport } from './report.ts'

export interface Compiled {
  readonly circuit: Circuit
  readonly plan: PlanReport
  /** Warnings about the calibration images. */
  readonly warnings: readonly string[]
  /**
   * Figures of one shot where the plan has refreshes, and of refreshes where it is one shot. Absent where
   * that does not fit, where the best plan with refreshes has none after all, or where `refresh` or
   * `offlineClient` does not allow it.
   */
  readonly otherWay?: OtherWay
}

/**
 * Compiles a network into a circuit: prepares the input, folds, plans and lowers. The builder types every
 * operation by the circuit's laws; `writeCircuit` verifies the whole circuit before it writes a file.
 *
 * @throws DEPTH_EXCEEDED when no parameters of 128 bits of security hold the network at the requested
 *   precision
 * @throws CONFIG_INVALID when an option does not exist, is out of range or contradicts another one, when a
 *   map does not fit the slots of an image, when calibration images are beyond the circuit's input bound, or
 *   when the network diverges on them
 */
export function compile(network: Network, options: CompileOptions): Compiled {
  checkOptions(network, options)
  const prepared = prepareInput(networkGraph(network), options.preprocessing)
  const images = (options.calibration ?? []).map(prepared.pack)
  const imageFindings = checkedImages(network, options, prepared.spec.bound)
  const { graph, agreements } = foldMeasured(prepared.graph, images)
  const warnings = images.length > 0 ? [...imageFindings, ...agreementWarnings(agreements)] : []
  const planOf = (batch: number): Planned => bestPlan(graph, options, { ...prepared, images }, batch)
  const { batch = 1 } = options
  const { circuit, target, otherWay, why } = batch === 'auto' ? largestFreeBatch(planOf) : planOf(batch)
  const plan = planReport(circuit, target)
  return {
    circuit,
    plan: { ...plan, why: [...why, ...plan.why] },
    warnings,
    ...(otherWay && { otherWay }),
  }
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
  readonly takesBatches: boolean
  readonly otherWay: OtherWay | undefined
  /** Why its way was taken, where that is not for its cost. */
  readonly why: readonly string[]
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
  const request = {
    target,
    batch,
    objective,
    precisionBits,
    maxPrimeBits: options.maxPrimeBits ?? target.primeSizes.most,
    link: options.link,
    offlineClient: options.offlineClient,
  }
  const { taken, other, why } = planned(graph, options, request, (candidate) =>
    emit(candidate, { model, labels, input: spec, precisionBits, target }),
  )
  return {
    circuit: completeCircuit(taken.lowered, layerPrecisions(taken.lowered, images)),
    target,
    cost: costOf(objective, taken.candidate),
    takesBatches: options.refresh !== 'server' && !isRestored(taken),
    otherWay: other && otherWay(other.candidate, taken.candidate),
    why,
  }
}

/** The plan of the way that is taken, and of another one that was planned. */
interface Taken {
  readonly taken: Emitted
  readonly other?: Emitted
  readonly why: readonly string[]
}

/** Plans the ways that the options allow, and takes one. */
function planned(
  graph: Graph,
  { refresh = 'auto', offlineClient, rings: named }: CompileOptions,
  request: Omit<PlanRequest, 'rings'>,
  emitted: Emit,
): Taken {
  if (refresh === 'auto' && offlineClient) {
    const { taken, why } = offlinePlan(graph, named, request, emitted)
    return { taken, why: [why] }
  }
  const considered = named ?? usualRings(refresh)
  if (refresh === 'server') requireRestorable(request, considered)
  const rings = ringsFor(graph, considered, request.batch, request.target)
  const plans = bestOfEach(waysFor(graph, refresh, { ...request, rings }), request, emitted)
  const cost = ({ candidate }: Emitted): number => costOf(request.objective, candidate)
  const [best, other] = [...plans].sort((a, b) => cost(a) - cost(b))
  const taken = oneShotInstead(graph, request, best, emitted)
  return { taken, other, why: refresh === 'server' && !isRestored(taken) ? [NONE_RESTORED] : [] }
}

/** The note on a plan of `--refresh server` for a network that needs no restoration. */
const NONE_RESTORED = 'no levels are restored, because the network fits one shot'
