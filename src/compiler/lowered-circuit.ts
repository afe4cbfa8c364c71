import type { Circuit, Estimate, LayerInfo, Op } from '../circuit/types.ts'
import type { SourceNoise } from './analysis/noise.ts'
import type { Graph } from './graph/graph.ts'
import type { CircuitBuilder } from './lowering/builder/circuit-builder.ts'

/** A circuit without the figures that the plan gives for it. */
export type CircuitBody = Omit<Circuit, 'layers' | 'estimate'>

/** A lowered and estimated circuit, with everything that the precision of its layers depends on. */
export interface LoweredCircuit {
  readonly body: CircuitBody
  /** Estimated seconds of each layer. */
  readonly layerSeconds: readonly number[]
  readonly estimate: Estimate
  /** Bytes of the memory that kernels reach. */
  readonly kernelBytes: number
  readonly graph: Graph
  readonly builder: Pick<CircuitBuilder, 'layers' | 'noiseSources' | 'noiseSourceOf'> & {
    readonly ops: readonly Op[]
  }
  /** Errors that enter at each noise source. */
  readonly noises: readonly SourceNoise[]
}

/** Precision of a layer. */
export type LayerPrecision = Pick<LayerInfo, 'precisionBits' | 'logitBits'>

/** The circuit with all figures. @param precisions of its layers, in order */
export function completeCircuit(
  { body, builder, layerSeconds, estimate }: LoweredCircuit,
  precisions: readonly LayerPrecision[],
): Circuit {
  const layers = builder.layers.map(({ name, kind, shape, slotsUsed }, index): LayerInfo => {
    const { precisionBits, logitBits } = precisions[index]
    return { name, kind, shape, precisionBits, logitBits, slotsUsed, seconds: layerSeconds[index] }
  })
  return { ...body, layers, estimate }
}
