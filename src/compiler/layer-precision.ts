import { incomingErrors } from './analysis/incoming.ts'
import { propagateErrors } from './analysis/propagation.ts'
import { rehearse } from './analysis/rehearsal.ts'
import type { LayerPrecision, LoweredCircuit } from './lowered-circuit.ts'
import { logitDeviation, precisionOf } from './planner/modulus/precision.ts'

/** Precision of doubles, which is stated for layers without errors. */
const DOUBLE_BITS = 53
/** One image is enough, because the errors of a tensor are averaged over many elements. */
const REHEARSED_IMAGES = 1

/**
 * The precision of each layer: that of its last tensor, and that of the logits if no other layer made errors.
 * The precision of tensors is measured on an image where there is one, and estimated otherwise.
 *
 * @param images of the graph's input
 */
export function layerPrecisions(
  { graph, builder, noises }: LoweredCircuit,
  images: readonly Float64Array[],
): LayerPrecision[] {
  const incoming = incomingErrors(graph, builder, noises)
  const rehearsed = images.slice(0, REHEARSED_IMAGES)
  const nodeBits =
    rehearsed.length > 0 ? rehearse(graph, incoming, rehearsed) : propagateErrors(graph, incoming)
  const bitsOf = new Map(graph.nodes.map((node, id) => [node, nodeBits[id]]))
  const deviation = logitDeviation(graph)
  return noiseSourcesOfLayers(builder).map((own) => {
    const sources = [...own]
    const error = Math.hypot(...sources.map((source) => noises[source].logit))
    const last = sources.at(-1)
    // No operation is left of a layer that only weights of zero read.
    const bits = last === undefined ? DOUBLE_BITS : bitsOf.get(builder.noiseSources[last])!
    return {
      // A tensor of zeros has no digits.
      precisionBits: Math.min(DOUBLE_BITS, Math.max(0, bits)),
      logitBits: Math.min(DOUBLE_BITS, precisionOf(error, deviation)),
    }
  })
}

/** The noise sources of each layer's operations; the source of the layer's last operation comes last. */
function noiseSourcesOfLayers({ ops, noiseSourceOf, layers }: LoweredCircuit['builder']): Set<number>[] {
  const sources = layers.map(() => new Set<number>())
  ops.forEach(({ layer }, id) => {
    sources[layer].delete(noiseSourceOf[id])
    sources[layer].add(noiseSourceOf[id])
  })
  return sources
}
