import t from 'tap'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph, NodeOf, PositionedTap, Shape } from '../../../src/compiler/graph/graph.ts'
import { applyTaps, applyTapsTransposed, shiftTaps } from '../../../src/compiler/graph/taps.ts'
import { lowerTaps } from '../../../src/compiler/lowering/taps.ts'
import { chooseLayout, withStride } from '../../../src/compiler/packing/choose.ts'
import { distinct, maxDifference, newBuilder, packedInput, readBack } from '../harness.ts'

const SCALE = 2 ** 20

/** Taps of distinct factors, that read within the map only. */
function distinctTaps([channels, height, width]: Shape): PositionedTap[] {
  return [
    [0, 0],
    [-1, 0],
    [2, -1],
  ].map(([dy, dx], k) => ({
    dy,
    dx,
    channel: distinct(channels, k + 20),
    position: distinct(height * width, k + 30).map((factor, at) => {
      const [y, x] = [Math.floor(at / width) + dy, (at % width) + dx]
      return y >= 0 && y < height && x >= 0 && x < width ? factor : 0
    }),
  }))
}

interface Case {
  readonly title: string
  readonly shape: Shape
  readonly taps: (shape: Shape) => PositionedTap[]
  /** Distance of the map's elements in the layout. */
  readonly stride?: number
  readonly rotations: number
}

const CASES: Case[] = [
  // Every ciphertext is rotated to four neighbours.
  { title: 'a shift in one ciphertext', shape: [12, 7, 5], taps: shiftTaps, rotations: 4 },
  // Each of the eight ciphertexts has channels of one quarter.
  { title: 'a shift over eight ciphertexts', shape: [128, 17, 30], taps: shiftTaps, rotations: 8 },
  { title: 'a shift of a map with strides', shape: [8, 5, 6], taps: shiftTaps, stride: 2, rotations: 4 },
  { title: 'taps of distinct factors', shape: [5, 6, 11], taps: distinctTaps, rotations: 2 },
]

for (const { title, shape, taps, stride = 1, rotations } of CASES) {
  t.test(title, async (t) => {
    const node: NodeOf<'taps'> = { kind: 'taps', name: 'taps', source: 0, shape, taps: taps(shape) }
    const graph: Graph = { nodes: [{ kind: 'input', name: 'x', shape }, node], output: 1 }
    const image = distinct(shape[0] * shape[1] * shape[2])
    for (const form of ['joined', 'split'] as const) {
      const builder = newBuilder()
      const [channels, height, width] = shape
      const wide = chooseLayout(builder.chain.slots, [channels, height * stride, width * stride], 0)
      const layout = withStride(wide, stride, height, width)
      const source = { ...packedInput(builder, layout), clean: false }
      const output = lowerTaps(builder, source, node, SCALE, form)
      const { elements, stray } = readBack(builder, image, layout, output)
      t.ok(maxDifference(elements, evaluate(graph, image)) < 1e-9, `${form}: equals the sum of taps`)
      t.ok(output.clean && stray < 1e-12, `${form}: slots without elements are zero`)
      t.equal(builder.ops.filter(({ kind }) => kind === 'rotate').length, rotations, `${form}: rotations`)
    }
  })
}

t.test('the transpose of taps agrees with its definition', async (t) => {
  const shape: Shape = [5, 6, 11]
  const node = { shape, taps: distinctTaps(shape) }
  const [x, gradient] = [distinct(330, 4), distinct(330, 5)]
  const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i], 0)
  const forward = dot(applyTaps(node, x), gradient)
  t.ok(Math.abs(forward - dot(x, applyTapsTransposed(node, gradient))) < 1e-9, '<A x, g> = <x, A^T g>')
})
