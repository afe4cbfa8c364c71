import t, { type Test } from 'tap'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import { insertRepacks } from '../../../src/compiler/passes/insert-repacks.ts'
import { prepareInput } from '../../../src/compiler/prepare-input.ts'
import { golden, maxDifference } from '../harness.ts'

/** Names of the repacked tensors of a golden network in ciphertexts of `slots` slots. */
async function repacked(t: Test, name: string, slots: number) {
  const { network, images } = await golden(name)
  const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
  const graph = insertRepacks(prepared.graph, slots)
  const image = prepared.pack(images[0])
  t.equal(
    maxDifference(evaluate(graph, image), evaluate(prepared.graph, image)),
    0,
    'the values are unchanged',
  )
  return graph.nodes.filter(({ kind }) => kind === 'repack').map(({ shape }) => shape[1])
}

t.test('both inputs of a cell are repacked where that fills fewer ciphertexts', async (t) => {
  const few = await repacked(t, 'micro_t', 256)
  t.ok(few.length > 0)
  for (const side of new Set(few)) {
    t.equal(few.filter((other) => other === side).length, 2, `both tensors of ${side} x ${side}`)
  }
})

t.test('a tensor in one ciphertext is not repacked', async (t) => {
  t.strictSame(await repacked(t, 'micro_t', 2 ** 20), [])
})
