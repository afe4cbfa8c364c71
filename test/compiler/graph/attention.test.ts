import t from 'tap'
import { productGradients } from '../../../src/compiler/analysis/backward.ts'
import { fold } from '../../../src/compiler/fold.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph, Node } from '../../../src/compiler/graph/graph.ts'
import { goldenTensors, item } from '../../models/support/golden.ts'
import { countKind, distinct, golden, maxDifference } from '../harness.ts'

const [HEADS, CHANNELS, HEIGHT, WIDTH] = [2, 3, 2, 3]
const AREA = HEIGHT * WIDTH

/** A graph of one input whose channels are query, key and value of two heads. */
function attentionGraph(): Graph {
  const size = HEADS * CHANNELS
  const base = { shape: [size, HEIGHT, WIDTH] as const }
  const pairs = { shape: [HEADS * AREA, HEIGHT, WIDTH] as const }
  const nodes: Node[] = [
    { kind: 'input', name: 'input', shape: [3 * size, HEIGHT, WIDTH] },
    { kind: 'slice', name: 'q', source: 0, start: 0, ...base },
    { kind: 'slice', name: 'k', source: 0, start: size, ...base },
    { kind: 'slice', name: 'v', source: 0, start: 2 * size, ...base },
    { kind: 'scores', name: 'scores', left: 1, right: 2, heads: HEADS, gain: 0.5, offset: 0.75, ...pairs },
    { kind: 'attend', name: 'attend', left: 4, right: 3, heads: HEADS, gain: 0.25, ...base },
  ]
  return { nodes, output: 5 }
}

t.test('the two products are those of their definition', async (t) => {
  const size = HEADS * CHANNELS * AREA
  const input = distinct(3 * size)
  const [q, k, v] = [0, 1, 2].map((part) => input.subarray(part * size, (part + 1) * size))
  const expected = new Float64Array(size)
  for (let head = 0; head < HEADS; head++) {
    const at = (c: number, position: number): number => (head * CHANNELS + c) * AREA + position
    for (let row = 0; row < AREA; row++) {
      for (let column = 0; column < AREA; column++) {
        let product = 0
        for (let c = 0; c < CHANNELS; c++) product += q[at(c, row)] * k[at(c, column)]
        const score = 0.5 * product + 0.75
        for (let c = 0; c < CHANNELS; c++) expected[at(c, row)] += 0.25 * score * v[at(c, column)]
      }
    }
  }
  t.ok(maxDifference(evaluate(attentionGraph(), input), expected) < 1e-12)
})

t.test('gradients are the differences of the products', async (t) => {
  const { nodes } = attentionGraph()
  for (const id of [4, 5]) {
    const node = nodes[id] as Extract<Node, { kind: 'scores' | 'attend' }>
    const sizes = [node.left, node.right].map((operand) => nodes[operand].shape[0] * AREA)
    const operands = sizes.map((length, seed) => distinct(length, seed + 1))
    const gradient = distinct(node.shape[0] * AREA, 9)
    const tensors: Float64Array[] = []
    const weighted = (values: readonly Float64Array[]): number => {
      const graph: Graph = {
        nodes: [
          { kind: 'input', name: 'all', shape: [sizes[0] / AREA + sizes[1] / AREA, HEIGHT, WIDTH] },
          { kind: 'slice', name: 'left', source: 0, start: 0, shape: nodes[node.left].shape },
          { kind: 'slice', name: 'right', source: 0, start: sizes[0] / AREA, shape: nodes[node.right].shape },
          { ...node, left: 1, right: 2 },
        ],
        output: 3,
      }
      const out = evaluate(graph, Float64Array.of(...values[0], ...values[1]))
      return out.reduce((sum, x, i) => sum + x * gradient[i], 0)
    }
    ;[tensors[node.left], tensors[node.right]] = operands
    const found = productGradients(node, tensors, gradient)
    const before = weighted(operands)
    for (const side of [0, 1]) {
      for (const index of [0, 7, sizes[side] - 1]) {
        const moved = operands.map((values) => values.slice())
        moved[side][index] += 1e-6
        const slope = (weighted(moved) - before) / 1e-6
        t.ok(Math.abs(slope - found[side][index]) < 1e-5, `${node.kind}, ${side}, ${index}: ${slope}`)
      }
    }
  }
})

t.test("micro_attn: the graph has PyTorch's tensors", async (t) => {
  const { network, images } = await golden('micro_attn')
  const graph = networkGraph(network)
  const tensors = await goldenTensors('micro_attn')
  const keys = [...tensors.keys()].filter((key) => key !== 'input' && key !== 'logits')
  t.equal(keys.length, 13)
  const nameOf = (key: string): string =>
    network.operations.find((operation) => (operation.tensors ?? [operation.name]).includes(key))!.name
  for (const [k, image] of images.entries()) {
    const found = new Map<string, Float64Array>()
    evaluate(graph, image, (id, tensor) => found.set(graph.nodes[id].name, tensor))
    for (const key of keys) {
      const error = maxDifference(found.get(nameOf(key))!, item(tensors.get(key)!, k).data)
      t.ok(error < 1e-4, `image ${k}: ${key}: ${error}`)
    }
  }
})

t.test('micro_attn: constants of rows and norms take no level of their own', async (t) => {
  const { network, images, logits } = await golden('micro_attn')
  const folded = fold(networkGraph(network))
  for (const [k, image] of images.entries())
    t.ok(maxDifference(evaluate(folded, image), logits[k]) < 1e-4, `image ${k}`)
  t.equal(countKind(folded, 'scores'), 2)
  const kinds = folded.nodes
    .filter(({ name, kind }) => name.startsWith('cells.2.stack.0.attention') && kind !== 'bias')
    .map(({ kind }) => kind)
  t.strictSame(kinds.sort(), [
    ...['add', 'attend'],
    ...Array(6).fill('conv'),
    ...['diagonal', 'multiply', 'multiply', 'scores', 'taps'],
  ])
  const values = folded.nodes.find(({ name }) => name === 'cells.2.stack.0.attention.v')
  t.ok(values?.kind === 'conv' && values.position !== undefined, 'the values have a mask')
})
