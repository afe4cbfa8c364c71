import type { InputSpec, OutputSpec } from '../circuit/types.ts'
import { sourceNoises } from './analysis/noise.ts'
import type { Graph } from './graph/graph.ts'
import type { CircuitBody, LoweredCircuit } from './lowered-circuit.ts'
import { CircuitBuilder } from './lowering/builder/circuit-builder.ts'
import type { LoweredHead } from './lowering/head.ts'
import { lowerGraph, lowerWithCuts } from './lowering/lower.ts'
import type { RestorationLevels } from './lowering/restoration/shape.ts'
import { splitSums } from './lowering/split-sums.ts'
import { widen } from './lowering/widen.ts'
import { withoutUnused } from './lowering/without-unused.ts'
import { parametersOf } from './planner/modulus/chain.ts'
import { headroomHolds } from './planner/modulus/headroom.ts'
import {
  floodingError,
  isMeasured,
  LOGIT_BITS,
  logitDeviation,
  logitError,
  precisionOf,
  roundedError,
  statedPrecision,
} from './planner/modulus/precision.ts'
import { imageSlots } from './planner/modulus/rings.ts'
import type { Candidate, FittingCandidate } from './planner/search/candidate.ts'
import { logitBits } from './planner/search/draft.ts'
import { outputLevel, restorationBound, restorationLevels, restorerOf } from './planner/search/restoration.ts'
import { estimateOf, layerSeconds } from './planner/target/estimate.ts'
import type { Target } from './planner/target/target.ts'

/**
 * The tolerance of an honest answer, in deviations. The imaginary parts of an honest answer are noise with
 * the deviation of the logits' noise, and noise of so many deviations is never seen.
 */
const TOLERANCE_DEVIATIONS = 16

/** How the client packs images, without the parts that the plan chooses. */
export type PartialInput = Pick<InputSpec, 'preprocessing' | 'image' | 'patch' | 'bound'>

/** Inputs of `emit` that do not come from the plan. */
export interface EmitOptions {
  readonly model: string
  readonly labels: readonly string[]
  readonly input: PartialInput
  readonly precisionBits: number
  readonly target: Target
}

/**
 * Lowers a candidate to operations and constants, and estimates the result.
 *
 * @returns undefined when a message would outgrow its modulus
 */
export function emit(candidate: FittingCandidate, options: EmitOptions): LoweredCircuit | undefined {
  const { graph, chain, special, plan } = candidate
  const levels = restoredLevelsOf(candidate)
  const parameters = parametersOf(chain, special)
  const { batch, copies } = plan
  const slots = imageSlots(parameters.ring, batch, copies)
  const inputLevel = levels?.network ?? parameters.topLevel
  const builder = new CircuitBuilder(
    { ...parameters, slots, batch, copies, inputLevel },
    plan.policy,
    'circuit',
  )
  const head = lowerCandidate(builder, candidate)
  const { ops, counts, noiseSourceOf, statistics, noiseSources, entering, layers, constants } = builder
  const used = withoutUnused({ ops, counts, noiseSourceOf, result: head.value })
  if (!headroomHolds(used.ops, used.result, parameters)) return undefined
  const noises = sourceNoises({ ...used, statistics, noiseSources, entering }, parameters)
  const widened = widen({ ops: used.ops, constants }, plan.batch)
  const split = splitSums({ ops: widened.ops, result: used.result }, parameters)
  const hasRounds = widened.ops.some(({ kind }) => kind === 'refresh')
  const hasRaised = widened.ops.some(({ kind }) => kind === 'raise')
  const body: CircuitBody = {
    model: options.model,
    labels: options.labels,
    parameters,
    batch: plan.batch,
    input: {
      ...options.input,
      layout: plan.layout,
      level: inputLevel,
      scale: 2 ** plan.policy.input,
    },
    output: outputSpec(graph, builder, head, options.precisionBits),
    ...widened,
    ...split,
    // A network may be too small for a cut.
    refresh: hasRounds ? { level: baseLevel(candidate) } : undefined,
    raise: hasRaised
      ? { bound: restorationBound(parameters.ring), stages: plan.segment!.restoration!.stages }
      : undefined,
  }
  const noise = Math.hypot(...noises.map(({ logit }) => logit))
  const error = logitError(noise, body.output.flooding)
  const precision = {
    logitError: error,
    isMeasured: isMeasured(graph),
    precisionBits: precisionOf(error, logitDeviation(graph)),
  }
  const seconds = layerSeconds(body, layers.length, options.target)
  const memory = options.target.memory(body)
  const estimate = estimateOf(body, seconds, precision, memory)
  const lowered = { ops: used.ops, noiseSourceOf: used.noiseSourceOf, layers, noiseSources }
  return { body, layerSeconds: seconds, estimate, kernelBytes: memory.near, graph, builder: lowered, noises }
}

function lowerCandidate(builder: CircuitBuilder, candidate: Candidate): LoweredHead {
  const { graph, plan, refresh } = candidate
  const { layout, strategies } = plan
  if (refresh === undefined) return lowerGraph(builder, graph, layout, strategies)
  const levels = restoredLevelsOf(candidate)
  if (levels === undefined) {
    return lowerWithCuts(
      builder,
      graph,
      { layout, strategies, refreshLevel: baseLevel(candidate) },
      refresh.cuts,
    )
  }
  const restoration = plan.segment!.restoration!
  const options = {
    layout,
    strategies,
    refreshLevel: levels.refresh,
    restorer: restorerOf(restoration, plan.ring, levels),
    outputLevel: (scale: number) => outputLevel(restoration, levels, builder.chain.primes, logitBits(scale)),
  }
  return lowerWithCuts(builder, graph, options, refresh.cuts)
}

/**
 * The highest level of the base primes, at which values are sent to the client, or from which they are
 * raised.
 */
const baseLevel = ({ chain }: Candidate): number => chain.base.length - 1

/** The levels of a candidate whose server restores levels; undefined for other ones. */
function restoredLevelsOf(candidate: Candidate): RestorationLevels | undefined {
  const { segment } = candidate.plan
  return segment?.restoration && restorationLevels(segment.restoration, baseLevel(candidate), segment.levels)
}

function outputSpec(
  graph: Graph,
  builder: CircuitBuilder,
  { value, period }: LoweredHead,
  precisionBits: number,
): OutputSpec {
  const { level, scale } = builder.type(value)
  const deviation = logitDeviation(graph)
  return {
    classes: graph.nodes[graph.output].shape[0],
    period,
    level,
    scale,
    bound: 2 ** LOGIT_BITS,
    tolerance: roundedError(precisionBits, deviation) * TOLERANCE_DEVIATIONS,
    flooding: floodingError(precisionBits, deviation),
    precision: statedPrecision(precisionBits, deviation),
  }
}
