import type { Graph } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'

/** Rewrites l + l * r as l * (r + 1). A bias replaces a sum whose operands have different scales. */
export function foldGate(graph: Graph): Graph {
  return rewrite(graph, (node, { built, usesOf, old }, id) => {
    if (node.kind !== 'add') return undefined
    const product = built.nodes[node.right]
    const before = old.nodes[id]
    if (product.kind !== 'multiply' || product.left !== node.left) return undefined
    if (before.kind !== 'add' || usesOf(before.right) !== 1) return undefined
    const [c, h, w] = node.shape
    const bias = new Float64Array(c * h * w).fill(1)
    const gate = built.add({
      kind: 'bias',
      name: `${node.name}.gate`,
      shape: node.shape,
      source: product.right,
      bias,
    })
    return built.add({ ...product, name: node.name, right: gate, rms: undefined })
  })
}
