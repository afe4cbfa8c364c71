import type { Graph, Shape } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'

/**
 * Expands poly-BN to a scale of positions, a bias with the mean, and a scale of channels:
 * (x - mean) * position * channel = channel * (position * x - mean * position).
 */
export function expandNorm(graph: Graph): Graph {
  return rewrite(graph, (node, { built }) => {
    if (node.kind !== 'norm') return undefined
    const { name, shape, source, position, mean, channel, rms } = node
    const ones = new Float64Array(shape[0]).fill(1)
    const scaled = built.add({
      kind: 'diagonal',
      name: `${name}.scale`,
      shape,
      source,
      channel: ones,
      position,
    })
    const offsets = position.map((p, i) => -mean[i] * p)
    const bias = repeat(offsets, shape)
    const centred = built.add({ kind: 'bias', name: `${name}.bias`, shape, source: scaled, bias })
    return built.add({ kind: 'scaleChannels', name, shape, source: centred, channel, rms })
  })
}

function repeat(map: Float64Array, [channels]: Shape): Float64Array {
  const out = new Float64Array(channels * map.length)
  for (let c = 0; c < channels; c++) out.set(map, c * map.length)
  return out
}
