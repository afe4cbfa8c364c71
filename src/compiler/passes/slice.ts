import type { Graph } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'

/** Folds a slice of channels into a dense convolution, which keeps the rows of these channels only. */
export function foldSlice(graph: Graph): Graph {
  return rewrite(graph, (node, { built }) => {
    if (node.kind !== 'slice') return undefined
    const source = built.nodes[node.source]
    if (source.kind !== 'conv' || source.groups !== 1) return undefined
    const row = source.weight.length / source.shape[0]
    const weight = source.weight.slice(node.start * row, (node.start + node.shape[0]) * row)
    return built.add({ ...source, name: node.name, shape: node.shape, weight })
  })
}
