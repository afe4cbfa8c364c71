import type { Graph, Node, NodeId } from './graph.ts'

/** A tensor channel[c] * position[at] * base + bias[c, at]. */
export interface Affine extends Chain {
  readonly channel: Float64Array
  readonly position: Float64Array
  readonly bias: Float64Array
}

/** Whether a node scales channels or positions, or adds a bias. */
type Link = Extract<Node, { kind: 'bias' | 'scaleChannels' | 'diagonal' }>

const isLink = (node: Node): node is Link =>
  node.kind === 'bias' || node.kind === 'scaleChannels' || node.kind === 'diagonal'

/** A chain of scales and biases. */
export interface Chain {
  /** The node that the chain begins with, which is no link. */
  readonly base: NodeId
  /** The scales and biases, from the base on. */
  readonly links: readonly NodeId[]
}

/**
 * The chain that ends in a node.
 *
 * @param continues whether the chain goes on through a link; by default through all of them
 */
export function chainOf(
  nodes: Graph['nodes'],
  id: NodeId,
  continues: (link: NodeId) => boolean = () => true,
): Chain {
  const links: NodeId[] = []
  let base = id
  for (let node = nodes[base]; isLink(node) && continues(base); node = nodes[base]) {
    links.push(base)
    base = node.source
  }
  return { base, links: links.reverse() }
}

/**
 * The chain that ends in a node, as one affine map of each element. It takes time in proportion to the
 * tensor's elements, which `chainOf` does not.
 *
 * @param continues as for `chainOf`
 */
export function affineOf(nodes: Graph['nodes'], id: NodeId, continues?: (link: NodeId) => boolean): Affine {
  const { base, links } = chainOf(nodes, id, continues)
  const [channels, height, width] = nodes[id].shape
  const channel = new Float64Array(channels).fill(1)
  const position = new Float64Array(height * width).fill(1)
  const bias = new Float64Array(channels * height * width)
  for (const link of links) apply(nodes[link] as Link, { channel, position, bias })
  return { base, channel, position, bias, links }
}

/** Applies a link behind an affine map, whose arrays it changes. */
function apply(link: Link, { channel, position, bias }: Pick<Affine, 'channel' | 'position' | 'bias'>): void {
  if (link.kind === 'bias') {
    for (let i = 0; i < bias.length; i++) bias[i] += link.bias[i]
    return
  }
  scaleChannelsOf(bias, link.channel)
  multiplyInto(channel, link.channel)
  if (link.kind === 'scaleChannels') return
  multiplyInto(position, link.position)
  for (let c = 0; c < channel.length; c++)
    multiplyInto(bias.subarray(c * position.length, (c + 1) * position.length), link.position)
}

function scaleChannelsOf(tensor: Float64Array, channel: Float64Array): void {
  const area = tensor.length / channel.length
  for (let c = 0; c < channel.length; c++)
    for (let i = c * area; i < (c + 1) * area; i++) tensor[i] *= channel[c]
}

function multiplyInto(a: Float64Array, b: Float64Array): void {
  for (let i = 0; i < a.length; i++) a[i] *= b[i]
}
