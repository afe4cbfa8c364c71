import { type Graph, GraphBuilder, withOperands } from '../graph/graph.ts'

/**
 * Folds three equal input channels into one, and sums the stem's weights over its input channels. The query
 * has a third of the size.
 */
export function foldGreyInput(graph: Graph): Graph {
  const built = new GraphBuilder()
  for (const node of graph.nodes) {
    if (node.kind === 'input') {
      built.add({ ...node, shape: [1, node.shape[1], node.shape[2]] })
    } else if (node.kind === 'conv' && graph.nodes[node.source].kind === 'input') {
      built.add({ ...node, weight: sumInputs(node.weight, node.shape[0], node.kernel ** 2) })
    } else {
      built.add(
        withOperands(node, 'source' in node ? [node.source] : 'left' in node ? [node.left, node.right] : []),
      )
    }
  }
  return built.finish(graph.output)
}

function sumInputs(weight: Float64Array, outputs: number, taps: number): Float64Array {
  const inputs = weight.length / (outputs * taps)
  const sums = new Float64Array(outputs * taps)
  weight.forEach((w, i) => {
    const o = Math.floor(i / (inputs * taps))
    sums[o * taps + (i % taps)] += w
  })
  return sums
}
