import t from 'tap'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import { type Graph, GraphBuilder, type Node, type Shape } from '../../../src/compiler/graph/graph.ts'
import { cleanGuards } from '../../../src/compiler/passes/clean-guards.ts'
import { composeStem } from '../../../src/compiler/passes/compose-stem.ts'
import { delayBiases } from '../../../src/compiler/passes/delay-biases.ts'
import { insertRepacks } from '../../../src/compiler/passes/insert-repacks.ts'
import { hoistPositionScales } from '../../../src/compiler/passes/position.ts'
import { countKind, distinct, maxDifference } from '../harness.ts'

const EXACT = 1e-9

/** Builds graphs of distinct weights on an input. */
class Nodes extends GraphBuilder {
  constructor(shape: Shape) {
    super()
    this.add({ kind: 'input', name: 'input', shape })
  }

  conv(source: number, outputs: number, kernel: number, stride: number, padding: number, groups = 1): number {
    const [inputs, height, width] = this.shape(source)
    const size = (n: number) => Math.floor((n + 2 * padding - kernel) / stride) + 1
    const weight = distinct((outputs * inputs * kernel ** 2) / groups, this.nodes.length + 1)
    const shape: Shape = [outputs, size(height), size(width)]
    return this.add({
      kind: 'conv',
      name: 'conv',
      source,
      weight,
      kernel,
      stride,
      padding,
      dilation: 1,
      groups,
      shape,
    })
  }

  /** The offsets of channels, or a map of distinct values. */
  bias(source: number, isMap = false): number {
    const shape = this.shape(source)
    const area = shape[1] * shape[2]
    const values = distinct(shape[0] * area, this.nodes.length + 1)
    const bias = isMap ? values : values.map((_, i) => values[Math.floor(i / area) * area])
    return this.add({ kind: 'bias', name: 'bias', source, bias, shape })
  }

  multiply(left: number, right: number): number {
    return this.add({ kind: 'multiply', name: 'product', left, right, shape: this.shape(left) })
  }

  sum(left: number, right: number): number {
    return this.add({ kind: 'add', name: 'sum', left, right, shape: this.shape(left) })
  }

  diagonal(source: number): number {
    const shape = this.shape(source)
    const [channel, position] = [distinct(shape[0], 31), distinct(shape[1] * shape[2], 32)]
    return this.add({ kind: 'diagonal', name: 'norm', source, channel, position, shape })
  }

  head(source: number): number {
    const [channels] = this.shape(source)
    return this.add({
      kind: 'head',
      name: 'head',
      source,
      weight: distinct(3 * channels, 33),
      bias: distinct(3, 34),
      shape: [3, 1, 1],
    })
  }
}

function same(t: { ok(ok: boolean, message: string): unknown }, before: Graph, after: Graph): void {
  const [channels, height, width] = before.nodes[0].shape
  const image = distinct(channels * height * width, 35)
  const expected = evaluate(before, image)
  t.ok(maxDifference(evaluate(after, image), expected) < EXACT, 'the values are the same')
}

t.test('a stem of two strided convolutions and a bias becomes one', async (t) => {
  for (const [kernels, strides, size] of [
    [
      [2, 2],
      [2, 2],
      [12, 20],
    ],
    [
      [2, 2],
      [2, 2],
      [11, 22],
    ],
    [
      [3, 2],
      [2, 3],
      [29, 17],
    ],
  ] as const) {
    const nodes = new Nodes([3, ...size])
    const first = nodes.bias(nodes.conv(0, 5, kernels[0], strides[0], 0))
    const graph = nodes.finish(nodes.bias(nodes.conv(first, 7, kernels[1], strides[1], 0)))
    const composed = composeStem(graph)
    t.equal(countKind(composed, 'conv'), 1, `${kernels}, ${strides}`)
    t.match(composed.nodes[1], { stride: strides[0] * strides[1] })
    same(t, graph, composed)
  }
})

t.test('other stems are unchanged', async (t) => {
  const padded = new Nodes([3, 12, 20])
  const behind = padded.conv(padded.conv(0, 5, 3, 2, 1), 7, 2, 2, 0)
  const shared = new Nodes([3, 12, 20])
  const both = shared.conv(0, 5, 2, 2, 0)
  const twice = shared.sum(shared.conv(both, 7, 2, 2, 0), shared.conv(both, 7, 2, 2, 0))
  const mapped = new Nodes([3, 12, 20])
  const biased = mapped.conv(mapped.bias(mapped.conv(0, 5, 2, 2, 0), true), 7, 2, 2, 0)
  for (const graph of [padded.finish(behind), shared.finish(twice), mapped.finish(biased)]) {
    t.equal(composeStem(graph), graph)
  }
})

t.test('a bias of channels moves behind a pointwise convolution', async (t) => {
  const nodes = new Nodes([4, 7, 9])
  const graph = nodes.finish(
    nodes.conv(nodes.conv(nodes.bias(nodes.conv(0, 5, 3, 1, 1)), 6, 1, 1, 0), 3, 1, 1, 0),
  )
  const moved = delayBiases(graph)
  t.strictSame(
    moved.nodes.map(({ kind }) => kind),
    ['input', 'conv', 'conv', 'conv', 'bias'],
  )
  same(t, graph, moved)
})

t.test('a bias before a padded convolution, and a bias that is a map, stay', async (t) => {
  const padded = new Nodes([4, 7, 9])
  const filtered = padded.conv(padded.bias(padded.conv(0, 5, 1, 1, 0)), 5, 3, 1, 1, 5)
  const mapped = new Nodes([4, 7, 9])
  const pointwise = mapped.conv(mapped.bias(mapped.conv(0, 5, 1, 1, 0), true), 5, 1, 1, 0)
  for (const graph of [padded.finish(filtered), mapped.finish(pointwise)]) {
    t.strictSame(delayBiases(graph), graph)
  }
})

/** x + pointwise(norm(l * r)), l dense and r depthwise, both with a bias. */
function block({ isNormed }: { isNormed: boolean }): Graph {
  const nodes = new Nodes([4, 7, 9])
  const x = nodes.conv(0, 4, 1, 1, 0)
  const l = nodes.bias(nodes.conv(nodes.conv(x, 8, 3, 1, 1, 4), 8, 1, 1, 0))
  const r = nodes.bias(nodes.conv(nodes.bias(nodes.conv(x, 8, 1, 1, 0)), 8, 3, 1, 1, 8))
  const product = nodes.multiply(l, r)
  const q = isNormed ? nodes.diagonal(product) : product
  return nodes.finish(nodes.head(nodes.sum(x, nodes.bias(nodes.conv(q, 4, 1, 1, 0)))))
}

const masks = ({ nodes }: Graph): Node[] =>
  nodes.filter((node) => node.kind === 'conv' && node.position !== undefined)

t.test('the position scale of a product goes into the taps of one factor', async (t) => {
  const graph = block({ isNormed: true })
  const hoisted = hoistPositionScales(graph)
  t.equal(countKind(hoisted, 'diagonal'), 0)
  t.match(masks(hoisted), [{ groups: 8 }])
  same(t, graph, hoisted)
  t.strictSame(cleanGuards(hoisted), hoisted, 'the scale is a mask already')
})

t.test('the taps of one factor of a product get a mask, and nothing else does', async (t) => {
  const graph = block({ isNormed: false })
  const cleaned = cleanGuards(graph)
  t.match(masks(cleaned), [{ groups: 8, position: new Float64Array(63).fill(1) }])
  t.equal(cleaned.nodes.length, graph.nodes.length)
  same(t, graph, cleaned)
})

t.test('a sum that begins with a strided convolution gets a mask, which repacking replaces', async (t) => {
  const nodes = new Nodes([4, 16, 16])
  const x = nodes.bias(nodes.conv(0, 64, 2, 2, 0))
  const graph = nodes.finish(nodes.head(nodes.sum(x, nodes.conv(x, 64, 1, 1, 0))))
  const cleaned = cleanGuards(graph)
  t.strictSame(
    cleaned.nodes.map(({ kind }) => kind),
    ['input', 'conv', 'bias', 'diagonal', 'conv', 'add', 'head'],
  )
  same(t, graph, cleaned)
  const repacked = insertRepacks(cleaned, 512)
  t.strictSame(
    repacked.nodes.map(({ kind }) => kind),
    ['input', 'conv', 'repack', 'bias', 'conv', 'add', 'head'],
  )
  same(t, graph, repacked)
})

t.test('the head of a network whose last map has other values around it gets a mask', async (t) => {
  const nodes = new Nodes([4, 7, 9])
  const graph = nodes.finish(nodes.head(nodes.conv(0, 5, 3, 2, 1)))
  const cleaned = cleanGuards(graph)
  t.strictSame(
    cleaned.nodes.map(({ kind }) => kind),
    ['input', 'conv', 'diagonal', 'head'],
  )
  same(t, graph, cleaned)
})
