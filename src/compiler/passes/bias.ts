import type { Graph } from '../graph/graph.ts'
import { fixpoint, rewrite } from '../graph/rewrite.ts'

/** Moves biases behind residual sums and joins them, so that sums read weighted layers directly. */
export const hoistBiases = (graph: Graph): Graph => fixpoint(graph, hoistOnce)

function hoistOnce(graph: Graph): Graph {
  return rewrite(graph, (node, { built, old, usesOf }, id) => {
    const before = old.nodes[id]
    if (node.kind === 'bias' && before.kind === 'bias') {
      const source = built.nodes[node.source]
      if (source.kind !== 'bias' || usesOf(before.source) !== 1) return undefined
      return built.add({ ...node, source: source.source, bias: node.bias.map((b, i) => b + source.bias[i]) })
    }
    if (node.kind !== 'add' || before.kind !== 'add') return undefined
    for (const side of ['right', 'left'] as const) {
      const source = built.nodes[node[side]]
      if (source.kind !== 'bias' || usesOf(before[side]) !== 1) continue
      const sum = built.add({ ...node, [side]: source.source, rms: undefined })
      return built.add({ ...source, name: `${node.name}.bias`, source: sum, rms: node.rms })
    }
    return undefined
  })
}
