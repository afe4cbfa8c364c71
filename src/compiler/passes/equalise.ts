import type { Range } from '../analysis/ranges.ts'
import type { Graph, Node, NodeId } from '../graph/graph.ts'
import { scaleRows, scaleTaps } from './channel-scale.ts'

/**
 * Divides every tensor by a power of two near its root mean square, so that all messages are near 1 and need
 * the same scale. The factors are folded into adjacent weights. The logits are unchanged.
 *
 * @param ranges one for each node of `graph`
 */
export function equalise(graph: Graph, ranges: readonly Range[]): Graph {
  const units = chooseUnits(graph, ranges)
  return { ...graph, nodes: graph.nodes.map((node, id) => inUnits(node, id, units)) }
}

/** For each node, the unit that its tensor is divided by. */
function chooseUnits(graph: Graph, ranges: readonly Range[]): number[] {
  const tied = tieSums(graph)
  const units: number[] = []
  const byClass = new Map<NodeId, number>()
  graph.nodes.forEach((node, id) => {
    const root = tied(id)
    const forced = forcedUnit(node, units, id === graph.output)
    const unit = byClass.get(root) ?? forced ?? powerOfTwoNear(largestOfClass(graph, ranges, tied, root))
    if (forced !== undefined && forced !== unit)
      throw new Error(`Node ${node.name} is tied to two different units`)
    byClass.set(root, unit)
    units[id] = unit
  })
  return units
}

/** The unit of inputs and logits is 1. The unit of a product is the product of its factors' units. */
function forcedUnit(node: Node, units: readonly number[], isOutput: boolean): number | undefined {
  if (node.kind === 'input' || isOutput) return 1
  if (node.kind === 'multiply') return units[node.left] * units[node.right]
  return undefined
}

/**
 * Finds the nodes that need the same unit, by union-find over sums and over nodes that keep the unit.
 *
 * @returns a function from a node to the representative of its class
 */
function tieSums(graph: Graph): (id: NodeId) => NodeId {
  const parent = graph.nodes.map((_, id) => id)
  const find = (id: NodeId): NodeId => {
    let root = id
    while (parent[root] !== root) root = parent[root]
    return root
  }
  const tie = (a: NodeId, b: NodeId) => {
    parent[find(a)] = find(b)
  }
  graph.nodes.forEach((node, id) => {
    switch (node.kind) {
      case 'add':
        tie(node.left, id)
        tie(node.right, id)
        return
      case 'bias':
      case 'flip':
      case 'exchange':
      case 'slice':
        tie(node.source, id)
        return
      case 'input':
      case 'conv':
      case 'norm':
      case 'sigmoidScale':
      case 'scaleChannels':
      case 'diagonal':
      case 'taps':
      case 'repack':
      case 'multiply':
      case 'scores':
      case 'attend':
      case 'head':
        return
      default:
        node satisfies never
    }
  })
  return find
}

function largestOfClass(
  graph: Graph,
  ranges: readonly Range[],
  tied: (id: NodeId) => NodeId,
  root: NodeId,
): number {
  return graph.nodes.reduce(
    (largest, _, id) => (tied(id) === root ? Math.max(largest, ranges[id].rms) : largest),
    0,
  )
}

const powerOfTwoNear = (x: number): number =>
  x > 0 && Number.isFinite(x) ? 2 ** Math.round(Math.log2(x)) : 1

function inUnits(node: Node, id: NodeId, units: readonly number[]): Node {
  const out = units[id]
  const rms = node.rms === undefined ? undefined : node.rms / out
  switch (node.kind) {
    case 'conv': {
      const factor = new Float64Array(node.shape[0]).fill(units[node.source] / out)
      return { ...node, rms, weight: scaleRows(node, factor) }
    }
    case 'diagonal':
    case 'scaleChannels':
      return { ...node, rms, channel: node.channel.map((s) => (s * units[node.source]) / out) }
    case 'taps': {
      const factor = new Float64Array(node.shape[0]).fill(units[node.source] / out)
      return { ...node, rms, taps: scaleTaps(node, factor) }
    }
    case 'bias':
      return { ...node, rms, bias: node.bias.map((b) => b / out) }
    case 'scores':
    case 'attend': {
      const gain = (node.gain * units[node.left] * units[node.right]) / out
      return node.kind === 'scores'
        ? { ...node, rms, gain, offset: node.offset / out }
        : { ...node, rms, gain }
    }
    case 'head':
      return { ...node, weight: node.weight.map((w) => w * units[node.source]) }
    case 'norm':
    case 'sigmoidScale':
      throw new Error(`${node.kind} is expanded before equalising`)
    case 'input':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
    case 'add':
    case 'multiply':
      return { ...node, rms }
  }
}
