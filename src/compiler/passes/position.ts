import type { ConvNode, Graph, Node, NodeId, NodeOf } from '../graph/graph.ts'
import { type RewriteContext, rewrite } from '../graph/rewrite.ts'
import { scaleRows } from './channel-scale.ts'

/**
 * Moves position scales into the taps of a depthwise convolution. The depthwise taps are few enough to be
 * full-size plaintexts, and the scale takes no level of its own.
 */
export const hoistPositionScales = (graph: Graph): Graph =>
  rewrite(graph, (node, context, id) => {
    const before = context.old.nodes[id]
    if (node.kind !== 'diagonal' || before.kind !== 'diagonal') return undefined
    return throughPointwise(node, before, context) ?? throughProduct(node, before, context)
  })

type Diagonal = NodeOf<'diagonal'>

/** diagonal(pointwise(depthwise(x))): a position scale commutes with a pointwise convolution. */
function throughPointwise(
  node: Diagonal,
  before: Diagonal,
  { built, old, usesOf }: RewriteContext,
): NodeId | undefined {
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

/** diagonal(l * r), where a depthwise convolution makes r: both scales belong to one factor as well. */
function throughProduct(node: Diagonal, before: Diagonal, context: RewriteContext): NodeId | undefined {
  const { built, old, usesOf } = context
  const product = built.nodes[node.source]
  const productBefore = old.nodes[before.source]
  if (product.kind !== 'multiply' || productBefore.kind !== 'multiply') return undefined
  if (usesOf(before.source) !== 1) return undefined
  for (const side of ['right', 'left'] as const) {
    const factor = scaledFilter(product[side], productBefore[side], node, context)
    if (factor !== undefined) return built.add({ ...product, [side]: factor, name: node.name, rms: node.rms })
  }
  return undefined
}

/** A depthwise convolution with an optional bias, times the scales; undefined for other nodes. */
function scaledFilter(
  id: NodeId,
  before: NodeId,
  scale: Diagonal,
  { built, old, usesOf }: RewriteContext,
): NodeId | undefined {
  if (usesOf(before) !== 1) return undefined
  const factor = built.nodes[id]
  const factorBefore = old.nodes[before]
  if (factor.kind === 'bias' && factorBefore.kind === 'bias') {
    if (usesOf(factorBefore.source) !== 1) return undefined
    const filter = built.nodes[factor.source]
    if (!isFilter(filter)) return undefined
    const area = scale.position.length
    const bias = factor.bias.map((b, i) => b * scale.channel[Math.floor(i / area)] * scale.position[i % area])
    return built.add({ ...factor, source: built.add(scaledConv(filter, scale)), bias, rms: undefined })
  }
  return isFilter(factor) ? built.add(scaledConv(factor, scale)) : undefined
}

const scaledConv = (filter: ConvNode, { channel, position }: Diagonal): ConvNode => ({
  ...filter,
  weight: scaleRows(filter, channel),
  position,
  rms: undefined,
})

const isConv = (node: Node): node is ConvNode => node.kind === 'conv'

const isFilter = (node: Node): node is ConvNode =>
  isConv(node) && node.groups !== 1 && node.position === undefined
