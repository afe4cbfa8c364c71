import t from 'tap'
import { fold } from '../../../src/compiler/fold.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import { narrowFirst } from '../../../src/compiler/passes/narrow-first.ts'
import { prepareInput } from '../../../src/compiler/prepare-input.ts'
import { golden, maxDifference } from '../harness.ts'

async function folded(name: string) {
  const { network, images } = await golden(name)
  const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
  return { graph: fold(prepared.graph), image: prepared.pack(images[0]) }
}

t.test('the factor of low rank comes first', async (t) => {
  const { graph, image } = await folded('micro_monet')
  const ordered = narrowFirst(graph)
  t.equal(maxDifference(evaluate(ordered, image), evaluate(graph, image)), 0, 'the values are unchanged')
  const place = (name: string): number => ordered.nodes.findIndex((node) => node.name.endsWith(name))
  t.ok(place('model.0.mlp2.U2') < place('model.0.mlp2.U3'))
  t.ok(place('model.0.mlp2.U3') < place('model.0.mlp2.U1'), 'the wide factor is made behind it')
  t.ok(place('model.0.mlp2.U1') < place('model.0.mlp2.gate'))
})

for (const name of ['micro_t', 'micro_dttn']) {
  t.test(`${name}, whose factors are equally wide, keeps its order`, async (t) => {
    const { graph } = await folded(name)
    t.strictSame(narrowFirst(graph).nodes, graph.nodes)
  })
}
