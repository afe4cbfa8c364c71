import type { Circuit, LayerInfo } from '../circuit/types.ts'
import { incomingErrors } from './analysis/incoming.ts'
import { propagateErrors } from './analysis/propagation.ts'
import { rehearse } from './analysis/rehearsal.ts'
import type { LoweredCircuit } from './emit.ts'
import { logitDeviation, precisionOf } from './planner/modulus/precision.ts'

/** Where nothing errs: no more than double precision has. */
const DOUBLE_BITS = 53
/** Tensors are so large that a single image tells what its errors are. */
const REHEARSED_IMAGES = 1

/**
 * The circuit with the precision of each layer: that of its last tensor, measured on one of the images where
 * there are any, and that which the logits would have if nothing but the layer erred.
 *
 * @param images of the graph's input
 */
export function withLayerPrecision(emitted: LoweredCircuit, images: readonly Float64Array[]): Circuit {
  const { circuit, graph, builder, noises } = emitted
  const incoming = incomingErrors(graph, builder, noises)
  const rehearsed = images.slice(0, REHEARSED_IMAGES)
  const nodeBits =
    rehearsed.length > 0 ? rehearse(graph, incoming, rehearsed) : propagateErrors(graph, incoming)
  const bitsOf = new Map(graph.nodes.map((node, id) => [node, nodeBits[id]]))
  const deviation = logitDeviation(graph)
  const noiseSourcesOf = noiseSourcesOfLayers(builder)
  const layers = circuit.layers.map((layer, index): LayerInfo => {
    const noiseSources = [...noiseSourcesOf[index]]
    const error = Math.hypot(...noiseSources.map((site) => noises[site].logit))
    return {
      ...layer,
      precisionBits: Math.min(DOUBLE_BITS, bitsOf.get(builder.noiseSources[noiseSources.at(-1)!])!),
      logitBits: Math.min(DOUBLE_BITS, precisionOf(error, deviation)),
    }
  })
  return { ...circuit, layers }
}

/** The noiseSources of each layer's operations, that of the last one last. */
function noiseSourcesOfLayers({ ops, noiseSourceOf, layers }: LoweredCircuit['builder']): Set<number>[] {
  const noiseSources = layers.map(() => new Set<number>())
  ops.forEach(({ layer }, id) => {
    noiseSources[layer].delete(noiseSourceOf[id])
    noiseSources[layer].add(noiseSourceOf[id])
  })
  return noiseSources
}
