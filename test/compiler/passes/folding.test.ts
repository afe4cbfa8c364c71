import t from 'tap'
import { estimateRanges } from '../../../src/compiler/analysis/ranges.ts'
import { fold } from '../../../src/compiler/fold.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph } from '../../../src/compiler/graph/graph.ts'
import { peak, rootMeanSquare } from '../../../src/compiler/graph/statistics.ts'
import { hoistBiases } from '../../../src/compiler/passes/bias.ts'
import { foldChannelScales } from '../../../src/compiler/passes/channel-scale.ts'
import { equalise } from '../../../src/compiler/passes/equalise.ts'
import { foldGate } from '../../../src/compiler/passes/gate.ts'
import { expandNorm } from '../../../src/compiler/passes/norm.ts'
import { pairFlips } from '../../../src/compiler/passes/pair-flips.ts'
import { hoistPositionScales } from '../../../src/compiler/passes/position.ts'
import { foldSigmoidScale } from '../../../src/compiler/passes/sigmoid-scale.ts'
import { foldSlice } from '../../../src/compiler/passes/slice.ts'
import { countKind, difference, GOLDEN_NETWORKS, golden, goldenGraph, maxDifference } from '../harness.ts'

/** Tolerance: passes only reorder double-precision arithmetic. */
const EXACT = 1e-9

/** Each pass on its graph in the pipeline, and the node kinds that are gone after it. */
const PASSES: {
  title: string
  prepare: (g: Graph) => Graph
  pass: (g: Graph) => Graph
  check: (g: Graph) => boolean
}[] = [
  {
    title: 'Sigmoid-Scale becomes a channel scale',
    prepare: (g) => g,
    pass: foldSigmoidScale,
    check: (g) => countKind(g, 'sigmoidScale') === 0,
  },
  {
    title: 'the gate l + l r loses its sum',
    prepare: (g) => g,
    pass: foldGate,
    check: (g) => g.nodes.every((node) => node.name !== 'head.product'),
  },
  {
    title: 'flips become exchanges within pairs',
    prepare: (g) => g,
    pass: pairFlips,
    check: (g) => countKind(g, 'flip') === 0 && countKind(g, 'exchange') > 0,
  },
  {
    title: 'slices become separate convolutions',
    prepare: (g) => g,
    pass: foldSlice,
    check: (g) => countKind(g, 'slice') === 0,
  },
  {
    title: 'poly-BN becomes scale, bias and gamma',
    prepare: (g) => g,
    pass: expandNorm,
    check: (g) => countKind(g, 'norm') === 0 && countKind(g, 'diagonal') > 0,
  },
  {
    title: 'channel scales go into weights',
    prepare: (g) => expandNorm(foldSigmoidScale(g)),
    pass: foldChannelScales,
    check: (g) => countKind(g, 'scaleChannels') === 0,
  },
  {
    title: 'position scales go into depthwise taps',
    prepare: (g) => foldChannelScales(expandNorm(foldSigmoidScale(g))),
    pass: hoistPositionScales,
    check: (g) => g.nodes.some((node) => node.kind === 'conv' && node.position !== undefined),
  },
  {
    title: 'biases move behind sums',
    prepare: (g) => foldChannelScales(expandNorm(foldSigmoidScale(g))),
    pass: hoistBiases,
    check: (g) =>
      g.nodes.every(
        (node) => node.kind !== 'add' || [node.left, node.right].some((id) => g.nodes[id].kind !== 'bias'),
      ),
  },
  {
    title: 'equalising does not change the logits',
    prepare: (g) => expandNorm(foldSlice(pairFlips(foldGate(foldSigmoidScale(g))))),
    pass: (g) => equalise(g, estimateRanges(g)),
    check: () => true,
  },
]

/** Networks of other families have no flips, slices and gates for the passes to fold. */
const PRESERVED = ['micro_monet', 'micro_dttn', 'micro_dttn_product', 'micro_attn'] as const

for (const name of PRESERVED) {
  t.test(`${name}: no pass changes the logits`, async (t) => {
    const { graph, image } = await goldenGraph(name)
    for (const { title, prepare, pass } of PASSES) {
      const before = prepare(graph)
      t.ok(difference(before, pass(before), image) < EXACT, title)
    }
    t.ok(difference(graph, fold(graph), image) < EXACT, 'all passes')
  })
}

for (const name of GOLDEN_NETWORKS) {
  t.test(name, async (t) => {
    const { graph, image } = await goldenGraph(name)
    for (const { title, prepare, pass, check } of PASSES) {
      const before = prepare(graph)
      const after = pass(before)
      t.ok(difference(before, after, image) < EXACT, `${title}: same logits`)
      t.ok(check(after), title)
      t.not(JSON.stringify(after.nodes), JSON.stringify(before.nodes), `${title}: the pass changed the graph`)
    }
  })
}

t.test('the folded graphs agree with the golden logits', async (t) => {
  for (const name of GOLDEN_NETWORKS) {
    const { network, images, logits } = await golden(name)
    const { graph } = await goldenGraph(name)
    t.equal(network.classes, logits[0].length)
    const folded = fold(graph)
    images.forEach((image, i) => {
      t.ok(maxDifference(evaluate(folded, image), logits[i]) < 1e-4, `${name}, image ${i}`)
    })
  }
})

t.test('folded graphs have only nodes that can be lowered, with messages near 1', async (t) => {
  const { graph, image } = await goldenGraph('micro_t')
  const folded = fold(graph)
  const kinds = new Set(folded.nodes.map((node) => node.kind))
  t.strictSame([...kinds].sort(), [
    'add',
    'bias',
    'conv',
    'diagonal',
    'exchange',
    'head',
    'input',
    'multiply',
  ])
  evaluate(folded, image, (id, tensor) => {
    if (id === folded.output) return
    const rms = rootMeanSquare(tensor)
    t.ok(rms > 2 ** -6 && rms < 2 ** 3, `${folded.nodes[id].name}: ${rms}`)
    t.ok(peak(tensor) < 64, folded.nodes[id].name)
  })
})

t.test('calibration images decide the units', async (t) => {
  const { graph, image } = await goldenGraph('one_shot')
  const calibrated = fold(graph, [image])
  t.ok(difference(graph, calibrated, image) < EXACT)
})
