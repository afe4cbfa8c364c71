import type { Circuit, InputSpec, OutputSpec } from '../circuit/types.ts'
import { type SourceNoise, sourceNoises } from './analysis/noise.ts'
import type { Graph } from './graph/graph.ts'
import { CircuitBuilder } from './lowering/builder.ts'
import { lowerGraph, lowerWithCuts } from './lowering/lower.ts'
import { widen } from './lowering/widen.ts'
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
import type { Candidate } from './planner/search/candidate.ts'
import { estimateOf, layerSeconds } from './planner/target/estimate.ts'
import type { Target } from './planner/target/target.ts'

/**
 * An honest answer's imaginary parts are noise of the logits' own deviation; so many deviations are never
 * seen.
 */
const TOLERANCE_DEVIATIONS = 16

/** How the client packs images, but for what the plan chooses. */
export type PartialInput = Pick<InputSpec, 'preprocessing' | 'image' | 'patch' | 'bound'>

/** What a circuit is besides what its candidate says. */
export interface EmitOptions {
  readonly model: string
  readonly labels: readonly string[]
  readonly input: PartialInput
  readonly precisionBits: number
  readonly target: Target
}

/** A circuit with what it was made from; its layers' precision is yet to be found. */
export interface LoweredCircuit {
  readonly circuit: Circuit
  readonly graph: Graph
  readonly builder: CircuitBuilder
  readonly noises: readonly SourceNoise[]
}

/** The whole circuit of a candidate; undefined when a message would outgrow its modulus. */
export function emit(candidate: Candidate, order: EmitOptions): LoweredCircuit | undefined {
  const parameters = parametersOf(candidate.chain, candidate.special!)
  const { graph } = candidate
  const { layout, policy, strategies, batch } = candidate.draft
  const slots = imageSlots(parameters.ring, batch)
  const builder = new CircuitBuilder({ ...parameters, slots, batch }, policy, true)
  const refreshLevel = candidate.chain.base.length - 1
  const { refresh } = candidate
  const { value, period } = refresh
    ? lowerWithCuts(builder, graph, { layout, strategies, refreshLevel }, refresh.cuts)
    : lowerGraph(builder, graph, layout, strategies)
  if (!headroomHolds(builder.ops, value, parameters)) return undefined
  const { ops, counts, statistics, noiseSources, noiseSourceOf } = builder
  const body = { ops, counts, statistics, noiseSources, noiseSourceOf, result: value }
  const noises = sourceNoises(body, parameters)
  const draft: Circuit = {
    model: order.model,
    labels: order.labels,
    parameters,
    batch,
    input: {
      ...order.input,
      layout,
      level: parameters.topLevel,
      scale: 2 ** policy.input,
    },
    output: outputSpec(graph, builder, value, period, order.precisionBits),
    layers: builder.layers,
    ...widen(builder, batch),
    result: value,
    refresh: refresh && { level: refreshLevel },
    estimate: {
      seconds: 0,
      logitError: 0,
      isMeasured: false,
      precisionBits: 0,
      memoryBytes: 0,
      bytes: { keys: 0, query: 0, refreshUp: 0, refreshDown: 0, response: 0 },
    },
  }
  const noise = Math.hypot(...noises.map(({ logit }) => logit))
  const error = logitError(noise, draft.output.flooding)
  const precision = {
    logitError: error,
    isMeasured: isMeasured(graph),
    precisionBits: precisionOf(error, logitDeviation(graph)),
  }
  const seconds = layerSeconds(draft, order.target)
  const timed = { ...draft, layers: draft.layers.map((layer, k) => ({ ...layer, seconds: seconds[k] })) }
  const circuit = { ...timed, estimate: estimateOf(timed, precision, order.target) }
  return { circuit, graph, builder, noises }
}

function outputSpec(
  graph: Graph,
  builder: CircuitBuilder,
  value: number,
  period: number,
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
