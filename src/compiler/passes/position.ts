import type { ConvNode, Graph, Node, NodeId } from '../graph/graph.ts'
import { type RewriteContext, rewrite } from '../graph/rewrite.ts'
import { scaleRows } from './channel-scale.ts'

/**
 * Moves the position scale of diagonal(pointwise(depthwise(x))) into the taps of the depthwise convolution. A
 * position scale commutes with a pointwise convolution. The depthwise taps are few enough to be full-size
 * plaintexts, and the scale takes no level of its own.
 */
export const hoistPositionScales = (graph: Graph): Graph => rewrite(graph, hoist)

function hoist(node: Node, { built, old, usesOf }: RewriteContext, id: NodeId): NodeId | undefined {
  const before = old.nodes[id]
  if (node.kind !== 'diagonal' || before.kind !== 'diagonal') return undefined
  const pointwise = built.nodes[node.source]
  const pointwiseBefore = old.nodes[before.source]
  if (!isConv(pointwise) || !isConv(pointwiseBefore) || pointwise.kernel !== 1 || pointwise.stride !== 1) {
    return undefined
  }
  const depthwise = built.nodes[pointwise.source]
  if (!isConv(depthwise) || depthwise.groups === 1 || depthwise.position) return undefined
  if (usesOf(before.source) !== 1 || usesOf(pointwiseBefore.source) !== 1) return undefined
  const scaled = built.add({ ...depthwise, position: node.position, rms: undefined })
  return built.add({
    ...pointwise,
    source: scaled,
    weight: scaleRows(pointwise, node.channel),
    rms: node.rms,
  })
}

const isConv = (node: Node): node is ConvNode => node.kind === 'conv'
