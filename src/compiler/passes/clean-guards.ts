import { type ConvNode, type Graph, type Node, type NodeId, users } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'

// Slots without an element are zero where a layer has masked weights. Taps that read beyond the map write
// other values to these slots, and a pointwise layer passes them on. In a product it is enough that one
// factor has zeros there.

/**
 * Masks the slots around the maps of residual sums, which would carry other values from block to block. The
 * taps of one factor of the product behind a branch get a mask, which takes no level. A sum that begins with
 * a strided convolution gets a mask of its own, which `insertRepacks` removes where it repacks. Then makes
 * the values of attention and the head's input clean.
 *
 * @param graph in the order of operands; positions of norms are folded
 */
export const cleanGuards = (graph: Graph): Graph => maskHead(maskValues(maskProducts(maskStrided(graph))))

/** Whether the slots around a node's map are zero, as far as the graph shows. */
function cleanNodes({ nodes }: Graph): boolean[] {
  const clean: boolean[] = []
  nodes.forEach((node, id) => {
    clean[id] = isClean(node, clean)
  })
  return clean
}

function isClean(node: Node, clean: readonly boolean[]): boolean {
  switch (node.kind) {
    case 'input':
    case 'diagonal':
    case 'taps':
    case 'repack':
    case 'head':
      return true
    case 'scores':
    case 'attend':
      return false
    case 'conv':
      if (node.position !== undefined) return true
      return node.kernel === 1 && node.stride === 1 && clean[node.source]
    case 'add':
      return clean[node.left] && clean[node.right]
    case 'multiply':
      return clean[node.left] || clean[node.right]
    case 'norm':
    case 'sigmoidScale':
    case 'scaleChannels':
    case 'bias':
    case 'flip':
    case 'exchange':
    case 'slice':
      return clean[node.source]
  }
}

/** Masks outputs of strided convolutions, with their biases, that sums read. */
function maskStrided(graph: Graph): Graph {
  const { nodes } = graph
  const uses = users(graph)
  const isStrided = (id: NodeId): boolean => {
    const node = nodes[id]
    if (node.kind === 'bias') return uses[node.source].length === 1 && isStrided(node.source)
    return node.kind === 'conv' && node.stride > 1 && node.position === undefined
  }
  return rewrite(graph, (node, { built }, id) => {
    if (!isStrided(id) || !uses[id].some((user) => nodes[user].kind === 'add')) return undefined
    return built.add(maskOf(node, built.add(node)))
  })
}

/** A mask behind a node. */
const maskOf = ({ name, shape, rms }: Node, source: NodeId): Extract<Node, { kind: 'diagonal' }> => ({
  kind: 'diagonal',
  name: `${name}.mask`,
  source,
  channel: new Float64Array(shape[0]).fill(1),
  position: new Float64Array(shape[1] * shape[2]).fill(1),
  shape,
  rms,
  isMask: true,
})

function maskProducts(graph: Graph): Graph {
  const { nodes } = graph
  const clean = cleanNodes(graph)
  const masked = new Set<NodeId>()
  for (const node of nodes) {
    if (node.kind !== 'add') continue
    for (const operand of [node.left, node.right]) {
      const product = productBehind(nodes, operand)
      if (product === undefined || clean[product]) continue
      const filter = filterOf(nodes, product)
      if (filter !== undefined) masked.add(filter)
    }
  }
  if (masked.size === 0) return graph
  return { ...graph, nodes: nodes.map((node, id) => (masked.has(id) ? withMask(node as ConvNode) : node)) }
}

/** The product that a branch makes, behind pointwise layers and biases. */
function productBehind(nodes: readonly Node[], id: NodeId): NodeId | undefined {
  const node = nodes[id]
  if (node.kind === 'multiply') return id
  const isPassed = node.kind === 'bias' || (node.kind === 'conv' && node.kernel === 1 && node.stride === 1)
  return isPassed ? productBehind(nodes, node.source) : undefined
}

/** A depthwise convolution that makes a factor of the product. */
function filterOf(nodes: readonly Node[], product: NodeId): NodeId | undefined {
  const node = nodes[product]
  if (node.kind !== 'multiply') return undefined
  return [node.right, node.left].map((id) => filterBehind(nodes, id)).find((id) => id !== undefined)
}

function filterBehind(nodes: readonly Node[], id: NodeId): NodeId | undefined {
  const node = nodes[id]
  if (node.kind === 'bias') return filterBehind(nodes, node.source)
  return node.kind === 'conv' && node.groups !== 1 && node.position === undefined ? id : undefined
}

const withMask = (node: ConvNode): ConvNode => ({
  ...node,
  position: new Float64Array(node.shape[1] * node.shape[2]).fill(1),
})

/**
 * Attention sums over all positions around the map, too: their scores are not zero, so the values have to be.
 * A mask in the taps of the values takes no level.
 */
function maskValues(graph: Graph): Graph {
  const { nodes } = graph
  const clean = cleanNodes(graph)
  const masked = new Set<NodeId>()
  const added = new Set<NodeId>()
  for (const node of nodes) {
    if (node.kind !== 'attend' || clean[node.right]) continue
    const filter = filterBehind(nodes, node.right)
    if (filter === undefined) added.add(node.right)
    else masked.add(filter)
  }
  return rewrite(graph, (node, { built }, id) => {
    if (masked.has(id)) return built.add(withMask(node as ConvNode))
    return added.has(id) ? built.add(maskOf(node, built.add(node))) : undefined
  })
}

/** The head sums over all slots, so its input needs zeros around the map. */
function maskHead(graph: Graph): Graph {
  const { nodes, output } = graph
  const head = nodes[output]
  if (head.kind !== 'head' || cleanNodes(graph)[head.source]) return graph
  const mask = maskOf(nodes[head.source], head.source)
  return { nodes: [...nodes.slice(0, output), mask, { ...head, source: output }], output: output + 1 }
}
