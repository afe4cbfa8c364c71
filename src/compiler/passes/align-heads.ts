import { type ConvNode, type Graph, type NodeId, operands } from '../graph/graph.ts'

/**
 * Marks the convolutions that make the query, the key and the value of attention: the channels of a head stay
 * together in a ciphertext. Convolutions with one filter for each channel keep the order of their input.
 */
export function alignHeads(graph: Graph): Graph {
  const blocks = new Map<NodeId, number>()
  for (const node of graph.nodes) {
    if (node.kind !== 'scores' && node.kind !== 'attend') continue
    const read = node.kind === 'scores' ? [node.left, node.right] : [node.right]
    for (const id of read) blocks.set(mixedBehind(graph, id), graph.nodes[id].shape[0] / node.heads)
  }
  return {
    ...graph,
    nodes: graph.nodes.map((node, id) => {
      const block = blocks.get(id)
      return block === undefined ? node : ({ ...node, block } as ConvNode)
    }),
  }
}

/** The convolution that decides in which ciphertexts a tensor's channels are. */
function mixedBehind({ nodes }: Graph, id: NodeId): NodeId {
  const node = nodes[id]
  if (node.kind === 'conv' && node.groups === 1) return id
  const [source] = operands(node)
  if (source === undefined) throw new Error(`No convolution makes the heads of ${node.name}`)
  return mixedBehind({ nodes, output: id }, source)
}
