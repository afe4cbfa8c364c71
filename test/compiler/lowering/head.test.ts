import t from 'tap'
import { pack } from '../../../src/circuit/layout.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph, NodeOf } from '../../../src/compiler/graph/graph.ts'
import { lowerHead } from '../../../src/compiler/lowering/head.ts'
import { chooseLayout } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/search/strategies.ts'
import { distinct, newBuilder, packedInput, parameters, run, slotDifference } from '../harness.ts'

// 23 channels of 9 x 5 positions to 7 classes: 4096 slots hold 64 positions of 64 slots.
const shape = [23, 9, 5] as const
const head: NodeOf<'head'> = {
  kind: 'head',
  name: 'head',
  source: 0,
  shape: [7, 1, 1],
  weight: distinct(7 * 23, 3),
  bias: distinct(7, 5),
  sensitivity: { tensor: 1, relative: 1, weights: 50, scattered: 0, moved: 0 },
}
const graph: Graph = { nodes: [{ kind: 'input', name: 'x', shape }, head], output: 1 }
const image = distinct(23 * 9 * 5)

for (const babies of [2, 3, 8, 63]) {
  for (const babySteps of ['chain', 'direct'] as const) {
    for (const giantSteps of ['horner', 'direct'] as const) {
      t.test(
        `pooling and dense layer, ${babies} baby steps ${babySteps}, giant steps ${giantSteps}`,
        async (t) => {
          const layout = chooseLayout(parameters.slots, shape, 0)
          const builder = newBuilder()
          const strategy = { ...CHAINS, babies, babySteps, giantSteps }
          const { value, period } = lowerHead(builder, packedInput(builder, layout), head, strategy)
          t.equal(period, 8)
          const [slots] = run(builder, pack(layout, image, parameters.slots), [value])
          const expected = [...evaluate(graph, image), 0]
          const logits = Float64Array.from({ length: parameters.slots }, (_, s) => expected[s % period])
          t.ok(slotDifference(slots, logits) < 1e-9, 'logits in every slot, and no imaginary parts')
          const shifts = builder.ops.filter((op) => op.kind === 'rotate' && op.steps % period !== 0)
          t.ok(shifts.length >= (babies > 8 ? 7 : 4), 'rotations within a period')
        },
      )
    }
  }
}
