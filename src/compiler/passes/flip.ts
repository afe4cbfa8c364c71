import type { ConvNode, Graph } from '../graph/graph.ts'
import { fixpoint, rewrite } from '../graph/rewrite.ts'

/**
 * Moves channel flips up through depthwise convolutions, until a dense convolution takes the flip into the
 * order of its weights.
 */
export const foldFlip = (graph: Graph): Graph => fixpoint(graph, flipOnce)

function flipOnce(graph: Graph): Graph {
  return rewrite(graph, (node, { built }) => {
    if (node.kind !== 'flip') return undefined
    const source = built.nodes[node.source]
    if (source.kind === 'flip') return source.source
    if (source.kind !== 'conv') return undefined
    const weight = reverseRows(source)
    const name = `${source.name}.flipped`
    if (source.groups === 1) return built.add({ ...source, name, weight })
    const below = built.add({
      kind: 'flip',
      name: node.name,
      source: source.source,
      shape: built.shape(source.source),
    })
    return built.add({ ...source, name, source: below, weight })
  })
}

function reverseRows(conv: ConvNode): Float64Array {
  const rows = conv.shape[0]
  const length = conv.weight.length / rows
  const out = new Float64Array(conv.weight.length)
  for (let r = 0; r < rows; r++) {
    out.set(conv.weight.subarray(r * length, (r + 1) * length), (rows - 1 - r) * length)
  }
  return out
}
