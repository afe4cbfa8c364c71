import {
  type ConvNode,
  type Graph,
  type Node,
  type NodeId,
  operands,
  type Shape,
  withOperands,
} from '../graph/graph.ts'

/**
 * Turns flips into exchanges within pairs. The order of the channels between two dense convolutions is free:
 * where a flip is between them, channel c comes next to channel C - 1 - c, which it changes places with. The
 * rows of the first convolution and the columns of the second take that order, so that it costs nothing. A
 * middle channel, which the flip leaves where it is, has both places of its pair, and the second convolution
 * reads it once.
 *
 * Flips of channels whose order is not free stay.
 */
export function pairFlips(graph: Graph): Graph {
  const sets = channelSets(graph)
  const paired = new Set(
    graph.nodes.flatMap((node, id) => (node.kind === 'flip' && sets.isFree(id) ? [sets.find(id)] : [])),
  )
  const isPaired = (id: NodeId): boolean => paired.has(sets.find(id))
  const nodes = graph.nodes.map((node, id) => {
    const reading = readsPairs(node, (operand) => isPaired(operand))
      ? inColumns(node, mirrored(graph.nodes[node.source].shape[0]))
      : node
    return isPaired(id) ? inRows(reading, mirrored(node.shape[0])) : reading
  })
  return { ...graph, nodes }
}

/** Channels in the order 0, C - 1, 1, C - 2, ..; a middle channel twice. */
const mirrored = (channels: number): number[] =>
  Array.from({ length: Math.ceil(channels / 2) }, (_, c) => [c, channels - 1 - c]).flat()

type ReadsAll = ConvNode | Extract<Node, { kind: 'head' }>

/** Whether a node mixes all channels of its source. */
const mixes = (node: Node): node is ReadsAll =>
  node.kind === 'head' || (node.kind === 'conv' && node.groups === 1)

const readsPairs = (node: Node, isPaired: (id: NodeId) => boolean): node is ReadsAll =>
  mixes(node) && isPaired(node.source)

interface ChannelSets {
  /** The representative of the nodes whose channels have the same order as the node's. */
  find(id: NodeId): NodeId
  /** Whether the order of the node's channels is free. */
  isFree(id: NodeId): boolean
}

/** Finds the nodes whose channels have the same order, by union-find over nodes that do not mix channels. */
function channelSets({ nodes, output }: Graph): ChannelSets {
  const parent = nodes.map((_, id) => id)
  const find = (id: NodeId): NodeId => {
    let root = id
    while (parent[root] !== root) root = parent[root]
    return root
  }
  const fixed: NodeId[] = [output]
  nodes.forEach((node, id) => {
    if (node.kind === 'input') fixed.push(id)
    else if (node.kind === 'slice' || node.kind === 'repack') fixed.push(id, node.source)
    else if (node.kind === 'scores' || node.kind === 'attend') fixed.push(id, node.left, node.right)
    else if (node.kind === 'conv' && node.groups !== 1 && node.groups !== node.shape[0]) {
      // Each input channel has several outputs, at places that follow from its own.
      fixed.push(id, node.source)
    } else if (!mixes(node)) for (const operand of operands(node)) parent[find(operand)] = find(id)
  })
  const fixedSets = new Set(fixed.map(find))
  return { find, isFree: (id) => !fixedSets.has(find(id)) }
}

/** A node with its channels in another order. */
function inRows(node: Node, order: readonly number[]): Node {
  const shape: Shape = [order.length, node.shape[1], node.shape[2]]
  switch (node.kind) {
    case 'flip':
      return { ...node, kind: 'exchange', shape }
    case 'conv':
      return {
        ...node,
        shape,
        groups: node.groups === 1 ? 1 : order.length,
        weight: gathered(node.weight, node.shape[0], order),
      }
    case 'norm':
    case 'scaleChannels':
    case 'diagonal':
      return { ...node, shape, channel: gathered(node.channel, node.shape[0], order) }
    case 'taps': {
      const taps = node.taps.map((tap) => ({ ...tap, channel: gathered(tap.channel, node.shape[0], order) }))
      return { ...node, shape, taps }
    }
    case 'bias':
      return { ...node, shape, bias: gathered(node.bias, node.shape[0], order) }
    case 'sigmoidScale':
    case 'exchange':
    case 'add':
    case 'multiply':
      return { ...withOperands(node, operands(node)), shape }
    case 'input':
    case 'slice':
    case 'repack':
    case 'scores':
    case 'attend':
    case 'head':
      throw new Error(`The channels of ${node.name} have a fixed order`)
  }
}

/** Rows of a matrix with `rows` rows, row-major. */
function gathered(values: Float64Array, rows: number, order: readonly number[]): Float64Array {
  const length = values.length / rows
  const out = new Float64Array(order.length * length)
  order.forEach((row, i) => {
    out.set(values.subarray(row * length, (row + 1) * length), i * length)
  })
  return out
}

/** A node that reads the channels of its source in another order, and each of them once. */
function inColumns(node: ReadsAll, order: readonly number[]): ReadsAll {
  const taps = node.kind === 'conv' ? node.kernel ** 2 : 1
  const channels = new Set(order).size
  const rows = node.weight.length / (channels * taps)
  const weight = new Float64Array(rows * order.length * taps)
  for (let row = 0; row < rows; row++) {
    order.forEach((channel, i) => {
      if (order.indexOf(channel) !== i) return
      const from = (row * channels + channel) * taps
      weight.set(node.weight.subarray(from, from + taps), (row * order.length + i) * taps)
    })
  }
  return { ...node, weight }
}
