import t from 'tap'
import { fold } from '../../../src/compiler/fold.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph, Node } from '../../../src/compiler/graph/graph.ts'
import { foldGate } from '../../../src/compiler/passes/gate.ts'
import { gatherPositions } from '../../../src/compiler/passes/gather-positions.ts'
import { expandNorm } from '../../../src/compiler/passes/norm.ts'
import { countKind, difference, goldenGraph, maxDifference } from '../harness.ts'

/** Tolerance: passes only reorder double-precision arithmetic. */
const EXACT = 1e-9

t.test('the scales of norms on one path take one level together', async (t) => {
  const { graph, image } = await goldenGraph('micro_monet')
  const before = expandNorm(foldGate(graph))
  const after = gatherPositions(before)
  t.ok(difference(before, after, image) < EXACT)
  const blocks = 3
  // Each half of a block has a norm of its input and one for each branch.
  t.equal(countKind(before, 'diagonal'), blocks * 6)
  // The second half has a scale in each branch; in the first half, the taps of the shifts hold all scales.
  t.equal(countKind(after, 'diagonal'), blocks * 2)
  t.equal(countKind(after, 'taps'), blocks * 2)
})

t.test('a folded block of MONet has the layers that its depth needs', async (t) => {
  const { graph } = await goldenGraph('micro_monet')
  const { nodes } = fold(graph)
  const kindsOf = (half: string) =>
    nodes
      .filter(({ name, kind }) => name.startsWith(`network.0.model.0.${half}`) && kind !== 'bias')
      .map(({ kind }) => kind)
  t.strictSame(kindsOf('mlp1'), ['conv', 'taps', 'conv', 'taps', 'conv', 'multiply', 'conv', 'add'])
  t.strictSame(kindsOf('mlp2'), ['conv', 'diagonal', 'conv', 'diagonal', 'conv', 'multiply', 'conv', 'add'])
})

t.test('a scale stays where another layer reads the scaled tensor', async (t) => {
  const { graph, image } = await goldenGraph('micro_monet')
  const expanded = expandNorm(graph)
  const id = expanded.nodes.findIndex(({ name }) => name === 'network.0.model.0.mlp1.norm.beta')
  const head = expanded.nodes[expanded.output] as Extract<Node, { kind: 'head' }>
  const { shape } = expanded.nodes[id]
  // A second head that reads the normed tensor; the sum of both is the output.
  const weight = head.weight.slice(0, 6 * shape[0])
  const second: Node = { ...head, name: 'second', source: id, weight }
  const at = expanded.nodes.length
  const sum: Node = { kind: 'add', name: 'both', left: expanded.output, right: at, shape: head.shape }
  const both: Graph = { nodes: [...expanded.nodes, second, sum], output: at + 1 }
  const after = gatherPositions(both)
  t.ok(maxDifference(evaluate(both, image), evaluate(after, image)) < EXACT)
  t.ok(
    after.nodes.some(({ kind, name }) => kind === 'diagonal' && name === 'network.0.model.0.mlp1.norm.scale'),
    'the scale of the normed tensor is there',
  )
})

t.test('other families are unchanged', async (t) => {
  for (const name of ['micro_t', 'micro_s', 'micro_dttn', 'micro_dttn_product']) {
    const { graph } = await goldenGraph(name)
    const expanded = expandNorm(graph)
    t.strictSame(gatherPositions(expanded), expanded, name)
  }
})
