import { biasOfChannels, channelBias } from '../graph/channel-bias.ts'
import { isPointwise } from '../graph/convolution.ts'
import type { Graph } from '../graph/graph.ts'
import { multiplyMatrices } from '../graph/matrix.ts'
import { fixpoint, rewrite } from '../graph/rewrite.ts'

/**
 * Moves a bias that is the same at all positions behind the pointwise convolution that reads it. It then
 * joins the bias of that convolution. Before a convolution with zero padding a bias stays where it is: behind
 * it, it would be a map that differs at the border.
 */
export const delayBiases = (graph: Graph): Graph => fixpoint(graph, delayOnce)

function delayOnce(graph: Graph): Graph {
  return rewrite(graph, (node, { built, old, usesOf }, id) => {
    const before = old.nodes[id]
    if (node.kind !== 'conv' || before.kind !== 'conv' || !isPointwise(node)) return undefined
    const source = built.nodes[node.source]
    if (source.kind !== 'bias' || usesOf(before.source) !== 1) return undefined
    const offsets = channelBias(source)
    if (offsets === undefined) return undefined
    const size = { rows: node.shape[0], inner: offsets.length, columns: 1 }
    const moved = multiplyMatrices(node.weight, offsets, size)
    const conv = built.add({ ...node, source: source.source, rms: undefined })
    const { name, shape, rms } = node
    return built.add({
      kind: 'bias',
      name: `${name}.moved`,
      source: conv,
      bias: biasOfChannels(moved, shape),
      shape,
      rms,
    })
  })
}
