import { biasOfChannels, channelBias } from '../graph/channel-bias.ts'
import { isPointwise } from '../graph/convolution.ts'
import {
  type ConvNode,
  type Graph,
  GraphBuilder,
  type NodeId,
  operands,
  users,
  withOperands,
} from '../graph/graph.ts'

/**
 * Composes a stem of two strided convolutions without padding into one, which reads patches of the image. Two
 * pointwise convolutions are composed, too, since they are patches of one pixel. A
 * bias between them becomes a bias behind: without padding it is the same at all positions.
 *
 * @returns the graph itself where its stem has another form
 */
export function composeStem(graph: Graph): Graph {
  const found = stemOf(graph)
  if (found === undefined) return graph
  const { first, bias, second } = found
  const built = new GraphBuilder()
  const ids: NodeId[] = []
  graph.nodes.forEach((node, id) => {
    if (id === second) ids[id] = addComposed(built, graph, found)
    else if (id === first || id === bias) ids[id] = -1
    else {
      const moved = operands(node).map((operand) => ids[operand])
      ids[id] = built.add(withOperands(node, moved))
    }
  })
  return built.finish(ids[graph.output])
}

interface Stem {
  readonly first: NodeId
  readonly bias: NodeId | undefined
  readonly second: NodeId
}

function stemOf(graph: Graph): Stem | undefined {
  const { nodes } = graph
  const uses = users(graph)
  const onlyUser = (id: NodeId): NodeId => (uses[id].length === 1 ? uses[id][0] : -1)
  const first = nodes.findIndex((node) => node.kind === 'conv' && nodes[node.source].kind === 'input')
  if (first < 0 || !isPlain(graph, first)) return undefined
  const next = onlyUser(first)
  const after = nodes[next]
  const bias = after?.kind === 'bias' && channelBias(after) !== undefined ? next : undefined
  const second = bias === undefined ? next : onlyUser(bias)
  if (second < 0 || !isPlain(graph, second) || !isComposed(nodes, first, second)) return undefined
  return { first, bias, second }
}

/**
 * Whether the convolutions together make patches. Where the second is not strided, the kernel of the
 * composition would be larger than both of theirs, unless both are pointwise.
 */
function isComposed(nodes: Graph['nodes'], first: NodeId, second: NodeId): boolean {
  const [a, b] = [nodes[first] as ConvNode, nodes[second] as ConvNode]
  return b.stride > 1 || (isPointwise(a) && isPointwise(b))
}

function isPlain({ nodes }: Graph, id: NodeId): boolean {
  const node = nodes[id]
  if (node?.kind !== 'conv') return false
  return node.padding === 0 && node.dilation === 1 && node.groups === 1 && node.position === undefined
}

function addComposed(built: GraphBuilder, { nodes }: Graph, { first, bias, second }: Stem): NodeId {
  const [a, b] = [nodes[first] as ConvNode, nodes[second] as ConvNode]
  const inputs = nodes[a.source].shape[0]
  const composed = built.add({ ...composition(a, b, inputs), source: a.source })
  const between = bias === undefined ? undefined : nodes[bias]
  if (between?.kind !== 'bias') return composed
  const offsets = sumsOfRows(b, channelBias(between)!)
  return built.add({
    ...between,
    name: `${b.name}.stem`,
    source: composed,
    shape: b.shape,
    bias: biasOfChannels(offsets, b.shape),
  })
}

/** b(a(x)): tap (y, x) of `b` moves the taps of `a` by that many of its strides. */
function composition(a: ConvNode, b: ConvNode, inputs: number): ConvNode {
  const kernel = (b.kernel - 1) * a.stride + a.kernel
  const [outputs, between] = [b.shape[0], a.shape[0]]
  const weight = new Float64Array(outputs * inputs * kernel ** 2)
  b.weight.forEach((factor, index) => {
    const x = index % b.kernel
    const y = Math.floor(index / b.kernel) % b.kernel
    const plane = Math.floor(index / b.kernel ** 2)
    const [o, m] = [Math.floor(plane / between), plane % between]
    for (let i = 0; i < inputs; i++) {
      for (let k = 0; k < a.kernel ** 2; k++) {
        const row = y * a.stride + Math.floor(k / a.kernel)
        const column = x * a.stride + (k % a.kernel)
        const at = ((o * inputs + i) * kernel + row) * kernel + column
        weight[at] += factor * a.weight[(m * inputs + i) * a.kernel ** 2 + k]
      }
    }
  })
  return { ...b, weight, kernel, stride: a.stride * b.stride }
}

/** For each output, the sum of its weights times the offsets of the channels that they read. */
function sumsOfRows({ weight, shape: [outputs], kernel }: ConvNode, offsets: Float64Array): Float64Array {
  const row = weight.length / outputs
  const sums = new Float64Array(outputs)
  weight.forEach((w, index) => {
    sums[Math.floor(index / row)] += w * offsets[Math.floor((index % row) / kernel ** 2)]
  })
  return sums
}
