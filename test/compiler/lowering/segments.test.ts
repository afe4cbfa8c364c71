import t from 'tap'
import { type Graph, type NodeId, users } from '../../../src/compiler/graph/graph.ts'
import { aliveAfterEach, dividedWhereLow } from '../../../src/compiler/lowering/segments.ts'

const alive = (tensors: readonly number[], elements: readonly number[] = tensors) => ({
  tensors: Float64Array.from(tensors),
  elements: Float64Array.from(elements),
})

/** The last nodes of the segments, without that of the whole. */
const ends = (
  ...[tensors, elements, mayEnd = () => true]: [number[], number[]?, ((id: NodeId) => boolean)?]
) =>
  dividedWhereLow({ from: 0, to: tensors.length }, alive(tensors, elements), mayEnd)
    .map(({ to }) => to - 1)
    .slice(0, -1)

t.test('segments end where the fewest tensors are alive, and in valleys', async (t) => {
  t.strictSame(ends([1, 2, 1, 3, 2, 3, 1]), [0, 2, 4])
  t.strictSame(ends([2, 3, 4, 3, 2]), [0])
  t.strictSame(
    ends([1, 2, 1, 3, 2, 3, 1], undefined, (id) => id !== 2),
    [0, 4],
  )
})

t.test('a valley ends at its last node with the fewest elements', async (t) => {
  t.strictSame(ends([1, 2, 2, 2, 3, 1], [9, 5, 5, 8, 9, 9]), [0, 2])
  t.strictSame(ends([1, 2, 2, 2, 3, 1], [9, 5, 5, 5, 9, 9]), [0, 3])
})

t.test('a tensor is alive until its last reader; a layer that waits reads with its sum', async (t) => {
  const shape = [2, 3, 4] as const
  const weight = new Float64Array()
  const conv = {
    kind: 'conv',
    weight,
    kernel: 1,
    stride: 1,
    padding: 0,
    dilation: 1,
    groups: 1,
    shape,
  } as const
  const graph: Graph = {
    nodes: [
      { kind: 'input', name: 'x', shape },
      { ...conv, name: 'a', source: 0 },
      { ...conv, name: 'b', source: 1 },
      { kind: 'add', name: 'sum', left: 0, right: 2, shape },
    ],
    output: 3,
  }
  const { tensors, elements } = aliveAfterEach(graph, users(graph), (id) => id === 2)
  t.strictSame([...tensors], [1, 2, 2, 0])
  t.strictSame([...elements], [24, 48, 48, 0])
})
