import t from 'tap'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { ConvNode, Graph, Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerDense } from '../../../src/compiler/lowering/dense.ts'
import { lowerDepthwise } from '../../../src/compiler/lowering/depthwise.ts'
import type { Packed } from '../../../src/compiler/lowering/packed.ts'
import { chooseLayout } from '../../../src/compiler/packing/choose.ts'
import { distinct, maxDifference, newBuilder, packedInput, parameters, readBack } from '../harness.ts'

interface Case {
  readonly title: string
  readonly input: Shape
  readonly outputs: number
  readonly kernel: number
  readonly stride?: number
  readonly padding?: number
  readonly dilation?: number
  readonly depthwise?: boolean
  readonly position?: boolean
  /** Guards that the layout is asked for. */
  readonly reach?: number
  readonly babies?: number
  /** Whether the input's guards may hold rubbish, as after another spatial layer. */
  readonly dirty?: boolean
  readonly rotations: number
  readonly keys: number
  readonly clean: boolean
}

const CASES: Case[] = [
  {
    title: 'pointwise, 5 to 7 channels in one ciphertext',
    input: [5, 9, 6],
    outputs: 7,
    kernel: 1,
    babies: 3,
    // Shifts -6..4: babies -1, 0, 1 and giants -6, -3, 0, 3.
    rotations: 2 + 3,
    keys: 4,
    clean: true,
  },
  {
    title: 'pointwise over several ciphertexts on both sides',
    input: [19, 11, 23],
    outputs: 30,
    kernel: 1,
    babies: 5,
    // 10 + 9 channels to 15 + 15, shifts -14..9: babies -2..2 of two inputs, giants -15..10 by 5 of two outputs.
    rotations: 2 * 4 + 2 * 5,
    keys: 4,
    clean: true,
  },
  {
    title: 'dense 3x3 with guards',
    input: [3, 7, 10],
    outputs: 4,
    kernel: 3,
    padding: 1,
    reach: 1,
    babies: 3,
    rotations: 8 + 9 * 2 + 2,
    keys: 4 + 4,
    clean: false,
  },
  {
    title: 'dense 3x3 without guards carries masks',
    input: [2, 8, 16],
    outputs: 3,
    kernel: 3,
    padding: 1,
    reach: 1,
    babies: 3,
    rotations: 8 + 9 * 2 + 1,
    keys: 4 + 3,
    clean: true,
  },
  {
    title: 'dense 3x3, stride 2, odd map',
    input: [3, 9, 5],
    outputs: 2,
    kernel: 3,
    stride: 2,
    padding: 1,
    reach: 1,
    babies: 3,
    rotations: 8 + 9 * 2 + 1,
    keys: 4 + 3,
    clean: false,
  },
  {
    title: 'dense 2x2, stride 2, no padding',
    input: [3, 6, 10],
    outputs: 5,
    kernel: 2,
    stride: 2,
    reach: 1,
    babies: 3,
    rotations: 3 + 4 * 2 + 2,
    keys: 2 + 4,
    clean: false,
  },
  {
    title: 'depthwise 3x3 with guards has periodic weights',
    input: [6, 7, 10],
    outputs: 6,
    kernel: 3,
    padding: 1,
    depthwise: true,
    reach: 1,
    rotations: 4,
    keys: 4,
    clean: false,
  },
  {
    title: 'depthwise 3x3, dilation 2, scaled by position',
    input: [5, 6, 11],
    outputs: 5,
    kernel: 3,
    padding: 2,
    dilation: 2,
    depthwise: true,
    position: true,
    reach: 2,
    rotations: 4,
    keys: 4,
    clean: true,
  },
  {
    title: 'depthwise 5x5, dilation 2, without guards, over two ciphertexts',
    input: [40, 8, 8],
    outputs: 40,
    kernel: 5,
    padding: 4,
    dilation: 2,
    depthwise: true,
    reach: 4,
    rotations: 8,
    keys: 8 - 2,
    clean: true,
  },
  {
    title: 'depthwise 3x3 of a tensor with rubbish in its guards',
    input: [4, 5, 9],
    outputs: 4,
    kernel: 3,
    padding: 1,
    depthwise: true,
    reach: 1,
    dirty: true,
    rotations: 4,
    keys: 4,
    clean: true,
  },
]

for (const c of CASES) {
  t.test(c.title, async (t) => {
    const node = convolution(c)
    const graph: Graph = { nodes: [{ kind: 'input', name: 'x', shape: c.input }, node], output: 1 }
    const layout = chooseLayout(parameters.slots, c.input, c.reach ?? 0)
    const builder = newBuilder()
    const source = { ...packedInput(builder, layout), clean: !c.dirty }
    const scale = 2 ** 20
    const output: Packed = c.depthwise
      ? lowerDepthwise(builder, source, node, scale)
      : lowerDense(builder, source, node, c.babies ?? 3, scale)
    const image = distinct(c.input[0] * c.input[1] * c.input[2])
    const { elements, stray } = readBack(builder, image, layout, output)
    t.ok(maxDifference(elements, evaluate(graph, image)) < 1e-9, 'equals the convolution')
    t.equal(output.clean, c.clean, 'clean')
    if (output.clean) t.equal(stray, 0, 'nothing in slots without elements')
    const rotations = builder.ops.filter((op) => op.kind === 'rotate')
    t.equal(rotations.length, c.rotations, 'rotations')
    t.equal(new Set(rotations.map((op) => op.steps)).size, c.keys, 'Galois keys')
    for (const value of output.values) t.equal(builder.type(value).scale, 2 ** 30 * scale, 'scale')
  })
}

t.test('a planted wrong rotation is caught', async (t) => {
  const c = CASES[0]
  const node = convolution(c)
  const graph: Graph = { nodes: [{ kind: 'input', name: 'x', shape: c.input }, node], output: 1 }
  const layout = chooseLayout(parameters.slots, c.input, 0)
  const builder = newBuilder()
  const output = lowerDense(builder, packedInput(builder, layout), node, 3, 2 ** 20)
  const at = builder.ops.findIndex((op) => op.kind === 'rotate')
  const op = builder.ops[at]
  if (op.kind === 'rotate') builder.ops[at] = { ...op, steps: parameters.slots - op.steps }
  const image = distinct(c.input[0] * c.input[1] * c.input[2])
  const { elements } = readBack(builder, image, layout, output)
  t.ok(maxDifference(elements, evaluate(graph, image)) > 1e-3)
})

function convolution(c: Case): ConvNode {
  const [channels, height, width] = c.input
  const { kernel, stride = 1, padding = 0, dilation = 1 } = c
  const size = (n: number) => Math.floor((n + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
  const shape: Shape = [c.outputs, size(height), size(width)]
  const perGroup = c.depthwise ? 1 : channels
  return {
    kind: 'conv',
    name: 'conv',
    source: 0,
    shape,
    kernel,
    stride,
    padding,
    dilation,
    groups: c.depthwise ? channels : 1,
    weight: distinct(c.outputs * perGroup * kernel ** 2, 7),
    position: c.position ? distinct(shape[1] * shape[2], 9) : undefined,
  }
}
