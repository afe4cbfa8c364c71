import type { ConvNode, Graph, Node, NodeId, NodeOf, PositionedTap } from '../graph/graph.ts'
import { fixpoint, type RewriteContext, rewrite } from '../graph/rewrite.ts'

/**
 * Folds every per-channel scale (ScalePerChannel, gamma of poly-BN, Sigmoid-Scale) into the weights of a
 * neighbouring convolution or into a diagonal, so that it takes no multiplication. A scale that cannot be
 * folded becomes a diagonal.
 */
export function foldChannelScales(graph: Graph): Graph {
  const folded = fixpoint(graph, (g) => rewrite(g, foldOnce))
  return rewrite(folded, (node, { built }) => {
    if (node.kind !== 'scaleChannels') return undefined
    const position = new Float64Array(node.shape[1] * node.shape[2]).fill(1)
    return built.add({ ...node, kind: 'diagonal', position })
  })
}

function foldOnce(node: Node, context: RewriteContext, id: NodeId): NodeId | undefined {
  switch (node.kind) {
    case 'conv':
      return intoFollowingConv(node, context, id)
    case 'diagonal':
      return intoDiagonal(node, context, id)
    case 'taps':
      return intoFollowingTaps(node, context)
    case 'add':
      return ofEqualSummands(node, context)
    case 'scaleChannels':
      return intoSource(node, context, id)
    case 'input':
    case 'norm':
    case 'sigmoidScale':
    case 'bias':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
    case 'multiply':
    case 'scores':
    case 'attend':
    case 'head':
      return undefined
    default:
      node satisfies never
      return undefined
  }
}

/**
 * conv(s * x): the scale goes into the columns of the weight, if all users of the scaled tensor are
 * convolutions.
 */
function intoFollowingConv(
  node: ConvNode,
  { built, old, usersOf }: RewriteContext,
  id: NodeId,
): NodeId | undefined {
  const source = built.nodes[node.source]
  const before = old.nodes[id] as ConvNode
  if (source.kind !== 'scaleChannels') return undefined
  if (!usersOf(before.source).every((user) => user.kind === 'conv')) return undefined
  return built.add({ ...node, source: source.source, weight: scaleColumns(node, source.channel) })
}

/** diagonal(s * x), diagonal(diagonal(x)) and diagonal(a + b). */
function intoDiagonal(
  node: NodeOf<'diagonal'>,
  { built, old, usesOf }: RewriteContext,
  id: NodeId,
): NodeId | undefined {
  const source = built.nodes[node.source]
  const before = old.nodes[id] as NodeOf<'diagonal'>
  if (source.kind === 'scaleChannels') {
    return built.add({ ...node, source: source.source, channel: times(node.channel, source.channel) })
  }
  if (usesOf(before.source) !== 1) return undefined
  if (source.kind === 'diagonal') {
    const channel = times(node.channel, source.channel)
    return built.add({
      ...node,
      source: source.source,
      channel,
      position: times(node.position, source.position),
    })
  }
  if (source.kind !== 'add') return undefined
  const left = built.add({ ...node, name: `${node.name}.left`, source: source.left, rms: undefined })
  const right = built.add({ ...node, name: `${node.name}.right`, source: source.right, rms: undefined })
  return built.add({ ...source, left, right, rms: node.rms })
}

/** taps(s * x) */
function intoFollowingTaps(node: NodeOf<'taps'>, { built }: RewriteContext): NodeId | undefined {
  const source = built.nodes[node.source]
  if (source.kind !== 'scaleChannels') return undefined
  return built.add({ ...node, source: source.source, taps: scaleTaps(node, source.channel) })
}

/** s * x + t * x = (s + t) * x. */
function ofEqualSummands(node: NodeOf<'add'>, { built }: RewriteContext): NodeId | undefined {
  const left = built.nodes[node.left]
  const right = built.nodes[node.right]
  if (left.kind !== 'scaleChannels' || right.kind !== 'scaleChannels' || left.source !== right.source) {
    return undefined
  }
  return built.add({
    ...left,
    name: node.name,
    channel: left.channel.map((s, c) => s + right.channel[c]),
    rms: node.rms,
  })
}

/** s * f(x), if f(x) has no other user: the scale goes into the rows of a weight, or moves before f. */
function intoSource(
  node: NodeOf<'scaleChannels'>,
  { built, old, usesOf, usersOf }: RewriteContext,
  id: NodeId,
): NodeId | undefined {
  const before = old.nodes[id] as NodeOf<'scaleChannels'>
  const source = built.nodes[node.source]
  if (usesOf(before.source) !== 1) return undefined
  // `intoFollowingConv` folds the scale into convolutions that follow.
  const followers = usersOf(id)
  if (followers.length > 0 && followers.every((user) => user.kind === 'conv')) return undefined
  const { channel, rms } = node
  const area = node.shape[1] * node.shape[2]
  switch (source.kind) {
    case 'scaleChannels':
    case 'diagonal':
      return built.add({ ...source, rms, channel: times(source.channel, channel) })
    case 'conv':
      return built.add({ ...source, rms, weight: scaleRows(source, channel) })
    case 'taps':
      return built.add({ ...source, rms, taps: scaleTaps(source, channel) })
    case 'bias': {
      const below = built.add({ ...node, source: source.source, rms: undefined })
      const bias = source.bias.map((b, i) => b * channel[Math.floor(i / area)])
      return built.add({ ...source, source: below, bias, rms })
    }
    case 'add': {
      const left = built.add({ ...node, name: `${node.name}.left`, source: source.left, rms: undefined })
      const right = built.add({ ...node, name: `${node.name}.right`, source: source.right, rms: undefined })
      return built.add({ ...source, left, right, rms })
    }
    case 'input':
    case 'norm':
    case 'sigmoidScale':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
    case 'multiply':
    case 'scores':
    case 'attend':
    case 'head':
      return undefined
    default:
      source satisfies never
      return undefined
  }
}

const times = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x * b[i])

/** Taps with channel c multiplied by factor[c]. */
export const scaleTaps = ({ taps }: NodeOf<'taps'>, factor: Float64Array): PositionedTap[] =>
  taps.map((tap) => ({ ...tap, channel: times(tap.channel, factor) }))

/** Weight with output channel o multiplied by factor[o]. */
export function scaleRows(conv: ConvNode, factor: Float64Array): Float64Array {
  const row = conv.weight.length / conv.shape[0]
  return conv.weight.map((w, i) => w * factor[Math.floor(i / row)])
}

/** Weight with input channel i multiplied by factor[i]. */
export function scaleColumns(conv: ConvNode, factor: Float64Array): Float64Array {
  const { groups, shape } = conv
  if (groups !== 1)
    return scaleRows(
      conv,
      Float64Array.from({ length: shape[0] }, (_, o) => factor[o % groups]),
    )
  const taps = conv.kernel ** 2
  return conv.weight.map((w, i) => w * factor[Math.floor(i / taps) % factor.length])
}
