import { type Graph, type NodeId, operands, users, withOperands } from '../graph/graph.ts'

/**
 * Orders the factors of each product so that the factor with the narrowest tensor on its way comes first, and
 * the nodes of the other factor follow. A cut in the middle then refreshes the narrow tensor, and the tensor
 * that both factors are made from, but no wide factor that waits for the other one.
 */
export function narrowFirst(graph: Graph): Graph {
  const { nodes } = graph
  const uses = users(graph)
  const places = nodes.map((_, id) => id)
  nodes.forEach((node, id) => {
    if (node.kind !== 'multiply') return
    const left = chainTo(graph, node.left, uses)
    const right = chainTo(graph, node.right, uses)
    const late = narrowest(graph, left) > narrowest(graph, right) ? left : undefined
    // Half a place before the product is behind all other nodes that the product needs.
    for (const link of late ?? []) places[link] = id - 1 / 2
  })
  return reordered(graph, places)
}

/** The nodes with one operand and one user each that end in `last`. */
function chainTo({ nodes }: Graph, last: NodeId, uses: readonly (readonly NodeId[])[]): NodeId[] {
  const chain: NodeId[] = []
  for (let id = last; uses[id].length === 1 && operands(nodes[id]).length === 1; [id] = operands(nodes[id]))
    chain.push(id)
  return chain
}

const narrowest = ({ nodes }: Graph, chain: readonly NodeId[]): number =>
  chain.reduce((least, id) => Math.min(least, nodes[id].shape[0]), Infinity)

/** The graph with its nodes by ascending place. Nodes of one place keep their order. */
function reordered({ nodes, output }: Graph, places: readonly number[]): Graph {
  const order = nodes.map((_, id) => id).sort((a, b) => places[a] - places[b] || a - b)
  const moved = new Map(order.map((id, index) => [id, index]))
  const to = (id: NodeId): NodeId => moved.get(id)!
  return {
    nodes: order.map((id) => withOperands(nodes[id], operands(nodes[id]).map(to))),
    output: to(output),
  }
}
