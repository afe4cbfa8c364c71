import type { Graph, Node, NodeId } from './graph.ts'

/** A tensor channel[c] * position[at] * base + bias[c, at]. */
export interface Affine {
  /** The node of the base. */
  readonly base: NodeId
  readonly channel: Float64Array
  readonly position: Float64Array
  readonly bias: Float64Array
  /** Nodes between the base and the tensor, from the base on. */
  readonly links: readonly NodeId[]
}

/** Whether a node scales channels or positions, or adds a bias. */
type Link = Extract<Node, { kind: 'bias' | 'scaleChannels' | 'diagonal' }>

const isLink = (node: Node): node is Link =>
  node.kind === 'bias' || node.kind === 'scaleChannels' || node.kind === 'diagonal'

/**
 * The chain of scales and biases that ends in a node, as one affine map of each element.
 *
 * @param continues whether the chain goes on through a link; by default through all of them
 */
export function affineOf(
  nodes: Graph['nodes'],
  id: NodeId,
  continues: (link: NodeId) => boolean = () => true,
): Affine {
  const links: NodeId[] = []
  let base = id
  for (let node = nodes[base]; isLink(node) && continues(base); node = nodes[base]) {
    links.unshift(base)
    base = node.source
  }
  const [channels, height, width] = nodes[id].shape
  let affine: Affine = {
    base,
    channel: new Float64Array(channels).fill(1),
    position: new Float64Array(height * width).fill(1),
    bias: new Float64Array(channels * height * width),
    links,
  }
  for (const link of links) affine = applied(affine, nodes[link] as Link)
  return affine
}

function applied({ channel, position, bias, ...rest }: Affine, link: Link): Affine {
  const area = position.length
  switch (link.kind) {
    case 'bias':
      return { ...rest, channel, position, bias: bias.map((b, i) => b + link.bias[i]) }
    case 'scaleChannels':
      return {
        ...rest,
        channel: times(channel, link.channel),
        position,
        bias: bias.map((b, i) => b * link.channel[Math.floor(i / area)]),
      }
    case 'diagonal':
      return {
        ...rest,
        channel: times(channel, link.channel),
        position: times(position, link.position),
        bias: bias.map((b, i) => b * link.channel[Math.floor(i / area)] * link.position[i % area]),
      }
  }
}

const times = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x * b[i])
