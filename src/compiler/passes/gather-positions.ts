import { type Affine, affineOf, chainOf } from '../graph/affine.ts'
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
  const continues =
    ({ source }: ConvNode) =>
    (link: NodeId): boolean =>
      link === source || uses[link].length === 1
  const isDelayed = (node: ConvNode): boolean =>
    chainOf(graph.nodes, node.source, continues(node)).links.some(
      (link) => graph.nodes[link].kind === 'diagonal',
    ) && uses[node.source].every((user) => isPointwise(graph.nodes[user]) && meets(user))
  return rewrite(graph, (node, { built, idOf }, id) => {
    const old = graph.nodes[id]
    if (!isPointwise(node) || !isPointwise(old) || !isDelayed(old)) return undefined
    const before = affineOf(graph.nodes, old.source, continues(old))
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
  const { built, old: graph, usesOf } = context
  const continues = (link: NodeId): boolean => usesOf(link) === 1
  if (chainOf(graph.nodes, old.source, continues).links.length === 0) return undefined
  const chain = affineOf(graph.nodes, old.source, continues)
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
  const isOwn = (link: NodeId): boolean => isBiasOrScale(old.nodes[link]) && usesOf(link) === 1
  const isUpper = (link: NodeId): boolean => link === id || isOwn(link)
  const { base } = chainOf(old.nodes, id, isUpper)
  const between = old.nodes[base]
  const lowest = isPointwise(between) ? chainOf(old.nodes, between.source, isOwn).base : base
  if (usesOf(base) !== 1 || usesOf(lowest) !== 1 || !takesScale(lowest, context)) return undefined
  const upper = affineOf(old.nodes, id, isUpper)
  if (!isPointwise(between)) return addBias(built, node, scaledLower(base, upper, context), upper.bias)
  const lower = affineOf(old.nodes, between.source, isOwn)
  const ones = new Float64Array(lower.channel.length).fill(1)
  const source = scaledLower(lowest, { channel: ones, position: upper.position }, context)
  const weight = scaleRows({ ...between, weight: scaleColumns(between, lower.channel) }, upper.channel)
  const conv = built.add({ ...between, source, weight, rms: undefined })
  return addBias(built, node, conv, plus(upper.bias, scaledBias(upper, pointwiseOf(between, lower.bias))))
}

const isBiasOrScale = ({ kind }: Node): boolean => kind === 'bias' || kind === 'scaleChannels'

type Scale = Pick<Affine, 'channel' | 'position'>

/** The new node of an old one. */
const newNode = (old: NodeId, { built, idOf }: RewriteContext): Node => built.nodes[idOf(old)]

function takesScale(old: NodeId, context: RewriteContext): boolean {
  const { kind } = newNode(old, context)
  return kind === 'taps' || kind === 'diagonal'
}

/** Taps or a scale, multiplied by another scale. */
function scaledLower(old: NodeId, { channel, position }: Scale, context: RewriteContext): NodeId {
  const node = newNode(old, context)
  const scaled = <T extends Scale>(factors: T): T => ({
    ...factors,
    channel: factors.channel.map((factor, c) => factor * channel[c]),
    position: factors.position.map((factor, at) => factor * position[at]),
  })
  const { built } = context
  if (node.kind === 'taps') return built.add({ ...node, taps: node.taps.map(scaled), rms: undefined })
  if (node.kind === 'diagonal') return built.add({ ...scaled(node), rms: undefined })
  throw new Error(`${node.kind} takes no scale of positions`)
}

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
