import type { Graph } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'

/**
 * Rewrites l + l * r as l * (r + 1), and l + s * l * r as l * (s * r + 1), s a scale of channels. A bias
 * replaces a sum whose operands have different scales.
 */
export function foldGate(graph: Graph): Graph {
  return rewrite(graph, (node, { built, usesOf, old }, id) => {
    const before = old.nodes[id]
    if (node.kind !== 'add' || before.kind !== 'add' || usesOf(before.right) !== 1) return undefined
    const branch = built.nodes[node.right]
    const branchBefore = old.nodes[before.right]
    const scale = branch.kind === 'scaleChannels' ? branch : undefined
    const product = scale === undefined ? branch : built.nodes[scale.source]
    if (product.kind !== 'multiply' || product.left !== node.left) return undefined
    if (branchBefore.kind === 'scaleChannels' && usesOf(branchBefore.source) !== 1) return undefined
    const [c, h, w] = node.shape
    const bias = new Float64Array(c * h * w).fill(1)
    const gate = built.add({
      kind: 'bias',
      name: `${node.name}.gate`,
      shape: node.shape,
      source:
        scale === undefined ? product.right : built.add({ ...scale, source: product.right, rms: undefined }),
      bias,
    })
    return built.add({ ...product, name: node.name, right: gate, rms: undefined })
  })
}
