import t from 'tap'
import type { Graph, Node, NodeId, Shape } from '../../../src/compiler/graph/graph.ts'
import { pairFlips } from '../../../src/compiler/passes/pair-flips.ts'
import { countKind, difference, distinct } from '../harness.ts'

const MAP = [3, 5] as const

/** conv(coarse(b) * flip(fine(b) + bias)) with b = conv(input) of the given number of channels. */
function flipped(channels: number): Graph {
  const nodes: Node[] = []
  const add = (node: Node): NodeId => nodes.push(node) - 1
  const shape: Shape = [channels, ...MAP]
  const dense = (name: string, source: NodeId, inputs: number, outputs: number): NodeId =>
    add({
      kind: 'conv',
      name,
      source,
      shape: [outputs, ...MAP],
      weight: distinct(inputs * outputs, nodes.length + 1),
      kernel: 1,
      stride: 1,
      padding: 0,
      dilation: 1,
      groups: 1,
    })
  const depthwise = (name: string, source: NodeId): NodeId =>
    add({
      kind: 'conv',
      name,
      source,
      shape,
      weight: distinct(channels * 9, nodes.length + 1),
      kernel: 3,
      stride: 1,
      padding: 1,
      dilation: 1,
      groups: channels,
    })
  const input = add({ kind: 'input', name: 'input', shape: [4, ...MAP] })
  const b = dense('b', input, 4, channels)
  const coarse = depthwise('coarse', b)
  const bias = distinct(channels * MAP[0] * MAP[1], 9)
  const fine = add({ kind: 'bias', name: 'bias', source: depthwise('fine', b), shape, bias })
  const flip = add({ kind: 'flip', name: 'flip', source: fine, shape })
  const product = add({ kind: 'multiply', name: 'product', left: coarse, right: flip, shape })
  return { nodes, output: dense('out', product, channels, 3) }
}

t.test('a flip between dense convolutions becomes an exchange within pairs', async (t) => {
  for (const channels of [2, 6, 1, 5]) {
    const graph = flipped(channels)
    const paired = pairFlips(graph)
    const image = distinct(4 * MAP[0] * MAP[1], 7)
    t.ok(difference(graph, paired, image) < 1e-12, `${channels} channels`)
    t.equal(countKind(paired, 'flip'), 0)
    t.equal(countKind(paired, 'exchange'), 1)
    const product = paired.nodes.find(({ kind }) => kind === 'multiply')!
    t.same(product.shape, [channels + (channels % 2), ...MAP], 'a middle channel has both places of its pair')
    t.equal(paired.nodes.length, graph.nodes.length)
  }
})

t.test('a flip of channels whose order is not free stays', async (t) => {
  const shape: Shape = [4, ...MAP]
  const graph: Graph = {
    nodes: [
      { kind: 'input', name: 'input', shape },
      { kind: 'flip', name: 'flip', source: 0, shape },
    ],
    output: 1,
  }
  t.same(pairFlips(graph), graph)
})
