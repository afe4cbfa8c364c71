import t from 'tap'
import { spaceToDepth } from '../../../src/circuit/layout.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph, Shape } from '../../../src/compiler/graph/graph.ts'
import { foldGreyInput } from '../../../src/compiler/passes/grey.ts'
import { patchInput } from '../../../src/compiler/passes/patch-input.ts'
import { distinct, goldenGraph, maxDifference } from '../harness.ts'

function stem(input: Shape, kernel: number, stride: number, padding: number): Graph {
  const size = (n: number) => Math.floor((n + 2 * padding - kernel) / stride) + 1
  return {
    nodes: [
      { kind: 'input', name: 'input', shape: input },
      {
        kind: 'conv',
        name: 'stem',
        source: 0,
        shape: [5, size(input[1]), size(input[2])],
        weight: distinct(5 * input[0] * kernel ** 2),
        kernel,
        stride,
        padding,
        dilation: 1,
        groups: 1,
      },
    ],
    output: 1,
  }
}

const STEMS: [title: string, input: Shape, kernel: number, stride: number, padding: number][] = [
  ['the 7x7 stem of ImageNet networks', [3, 24, 36], 7, 4, 3],
  ['sizes that are no multiple of the stride', [2, 21, 33], 7, 4, 3],
  ['kernel 3, stride 2', [3, 10, 7], 3, 2, 1],
  ['kernel 2, stride 2, no padding', [1, 10, 8], 2, 2, 0],
  ['kernel 5, stride 3', [2, 12, 17], 5, 3, 2],
]

for (const [title, input, kernel, stride, padding] of STEMS) {
  t.test(`patches: ${title}`, async (t) => {
    const graph = stem(input, kernel, stride, padding)
    const image = distinct(input[0] * input[1] * input[2], 3)
    const { graph: patched, patch } = patchInput(graph)
    t.equal(patch, stride)
    t.strictSame(patched.nodes[1].shape, graph.nodes[1].shape)
    const cut = spaceToDepth(image, input, patch)
    t.ok(maxDifference(evaluate(patched, cut), evaluate(graph, image)) < 1e-12)
  })
}

t.test('a stem of stride 1 is unchanged', async (t) => {
  const graph = stem([3, 8, 9], 3, 1, 1)
  t.strictSame(patchInput(graph), { graph, patch: 1 })
})

t.test('three equal channels become one', async (t) => {
  const { graph } = await goldenGraph('one_shot')
  const [, h, w] = graph.nodes[0].shape
  const grey = distinct(h * w)
  const three = Float64Array.from({ length: 3 * h * w }, (_, i) => grey[i % (h * w)])
  const folded = foldGreyInput(graph)
  t.strictSame(folded.nodes[0].shape, [1, h, w])
  t.ok(maxDifference(evaluate(folded, grey), evaluate(graph, three)) < 1e-9)
})
