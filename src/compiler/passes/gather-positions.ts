import { type Affine, affineOf } from '../graph/affine.ts'
import { isPointwise as isPointwiseConvolution } from '../graph/convolution.ts'
import {
  type ConvNode,
  type Graph,
  type GraphBuilder,
  type Node,
  type NodeId,
  type NodeOf,
  type PositionedTap,
  users,
} from '../graph/graph.ts'
import { multiplyMatrices } from '../graph/matrix.ts'
import { fixpoint, type RewriteContext, rewrite } from '../graph/rewrite.ts'
import { applyTaps } from '../graph/taps.ts'
import { scaleColumns, scaleRows } from './channel-scale.ts'

/**
 * Gathers the position scales of norms that lie on one path, so that they take one level together. A position
 * scale commutes with pointwise convolutions, and taps that have masks anyway can hold it. Biases on the way
 * move behind.
 */
export const gatherPositions = (graph: Graph): Graph =>
  fixpoint(delayScales(graph), (g) => rewrite(g, (node, context, id) => gathered(node, context, id)))

// Scales before pointwise convolutions.

/**
 * pointwise(scale * x + bias), where the output meets another scale: the scale moves behind the convolution.
 * It does where all readers of the scaled tensor are of this kind, so that the scale is gone.
 */
function delayScales(graph: Graph): Graph {
  const meets = meetsScale(graph)
  const uses = users(graph)
  const chainBefore = ({ source }: ConvNode): Affine =>
    affineOf(graph.nodes, source, (link) => link === source || uses[link].length === 1)
  const isDelayed = (node: ConvNode): boolean =>
    chainBefore(node).links.some((link) => graph.nodes[link].kind === 'diagonal') &&
    uses[node.source].every((user) => isPointwise(graph.nodes[user]) && meets(user))
  return rewrite(graph, (node, { built, idOf }, id) => {
    const old = graph.nodes[id]
    if (!isPointwise(node) || !isPointwise(old) || !isDelayed(old)) return undefined
    const before = chainBefore(old)
    const weight = scaleColumns(node, before.channel)
    const conv = built.add({ ...node, source: idOf(before.base), weight, rms: undefined })
    const scaled = built.add({
      kind: 'diagonal',
      name: `${node.name}.position`,
      source: conv,
      channel: new Float64Array(node.shape[0]).fill(1),
      position: before.position,
      shape: node.shape,
    })
    return addBias(built, node, scaled, pointwiseOf(node, before.bias))
  })
}

/**
 * Returns whether the only reader of a node's tensor is a scale or taps, behind biases and pointwise layers.
 */
function meetsScale(graph: Graph): (id: NodeId) => boolean {
  const uses = users(graph)
  const meets = (id: NodeId): boolean => {
    if (uses[id].length !== 1) return false
    const [next] = uses[id]
    const node = graph.nodes[next]
    if (node.kind === 'diagonal' || node.kind === 'taps') return true
    return (node.kind === 'bias' || node.kind === 'scaleChannels' || isPointwise(node)) && meets(next)
  }
  return meets
}

// Scales that meet.

function gathered(node: Node, context: RewriteContext, id: NodeId): NodeId | undefined {
  const before = context.old.nodes[id]
  if (node.kind === 'taps' && before.kind === 'taps') return afterChain(node, before, context)
  if (node.kind === 'diagonal' && before.kind === 'diagonal') return intoLower(node, id, context)
  return undefined
}

/** taps(scale * x + bias) */
function afterChain(node: NodeOf<'taps'>, old: NodeOf<'taps'>, context: RewriteContext): NodeId | undefined {
  const { built } = context
  const chain = chainOf(old.source, context)
  if (chain.links.length === 0) return undefined
  const scaled = built.add({
    ...node,
    source: context.idOf(chain.base),
    taps: node.taps.map((tap) => reading(tap, chain, node.shape[2])),
    rms: undefined,
  })
  return addBias(built, node, scaled, applyTaps(node, chain.bias))
}

/** The tap of a scaled tensor: it multiplies by the scale at the position that it reads. */
const reading = (tap: PositionedTap, { channel, position }: Affine, width: number): PositionedTap => ({
  ...tap,
  channel: tap.channel.map((factor, c) => factor * channel[c]),
  // Where the tap reads beyond the map, its own factor is 0.
  position: tap.position.map((factor, at) =>
    factor === 0 ? 0 : factor * position[at + tap.dy * width + tap.dx],
  ),
})

/** A scale behind taps or another scale, with an optional pointwise convolution between them. */
function intoLower(node: NodeOf<'diagonal'>, id: NodeId, context: RewriteContext): NodeId | undefined {
  const { built, old, usesOf } = context
  const upper = affineOf(
    old.nodes,
    id,
    (link) => link === id || (isBiasOrScale(old.nodes[link]) && usesOf(link) === 1),
  )
  const between = old.nodes[upper.base]
  if (usesOf(upper.base) !== 1) return undefined
  if (!isPointwise(between)) {
    const made = scaledLower(upper.base, upper, context)
    return made && addBias(built, node, made.id, plus(upper.bias, scaledBias(upper, made.bias)))
  }
  const lower = affineOf(
    old.nodes,
    between.source,
    (link) => isBiasOrScale(old.nodes[link]) && usesOf(link) === 1,
  )
  if (lower.links.some((link) => usesOf(link) !== 1) || usesOf(lower.base) !== 1) return undefined
  const ones = new Float64Array(lower.channel.length).fill(1)
  const made = scaledLower(lower.base, { channel: ones, position: upper.position }, context)
  if (made === undefined) return undefined
  const weight = scaleRows({ ...between, weight: scaleColumns(between, lower.channel) }, upper.channel)
  const conv = built.add({ ...between, source: made.id, weight, rms: undefined })
  return addBias(built, node, conv, plus(upper.bias, scaledBias(upper, pointwiseOf(between, lower.bias))))
}

const isBiasOrScale = ({ kind }: Node): boolean => kind === 'bias' || kind === 'scaleChannels'

type Scale = Pick<Affine, 'channel' | 'position'>

/** Taps or a scale, multiplied by another scale; undefined for other nodes. */
function scaledLower(
  old: NodeId,
  { channel, position }: Scale,
  context: RewriteContext,
): { readonly id: NodeId; readonly bias: Float64Array } | undefined {
  const { built } = context
  const node = built.nodes[context.idOf(old)]
  const bias = new Float64Array(channel.length * position.length)
  if (node.kind === 'taps') {
    const taps = node.taps.map((tap) => ({
      ...tap,
      channel: tap.channel.map((factor, c) => factor * channel[c]),
      position: tap.position.map((factor, at) => factor * position[at]),
    }))
    return { id: built.add({ ...node, taps, rms: undefined }), bias }
  }
  if (node.kind !== 'diagonal') return undefined
  const id = built.add({
    ...node,
    channel: node.channel.map((factor, c) => factor * channel[c]),
    position: node.position.map((factor, at) => factor * position[at]),
    rms: undefined,
  })
  return { id, bias }
}

/** The chain that ends in an old node, through links that nothing else reads. */
const chainOf = (old: NodeId, { old: graph, usesOf }: RewriteContext): Affine =>
  affineOf(graph.nodes, old, (link) => usesOf(link) === 1)

const plus = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x + b[i])

const scaledBias = ({ channel, position }: Scale, bias: Float64Array): Float64Array =>
  bias.map((b, i) => b * channel[Math.floor(i / position.length)] * position[i % position.length])

function pointwiseOf({ weight, shape }: ConvNode, bias: Float64Array): Float64Array {
  const [rows, height, width] = shape
  const columns = height * width
  return multiplyMatrices(weight, bias, { rows, inner: bias.length / columns, columns })
}

/** The tensor of `node`, which is another tensor plus a bias. */
function addBias(
  built: GraphBuilder,
  { name, shape, rms }: Node,
  source: NodeId,
  bias: Float64Array,
): NodeId {
  if (bias.every((b) => b === 0)) return source
  return built.add({ kind: 'bias', name: `${name}.moved`, source, bias, shape, rms })
}

const isPointwise = (node: Node): node is ConvNode => node.kind === 'conv' && isPointwiseConvolution(node)
