import t, { type Test } from 'tap'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph, Shape } from '../../../src/compiler/graph/graph.ts'
import type { Packed } from '../../../src/compiler/lowering/packed.ts'
import { exchangePlaces, lowerProduct } from '../../../src/compiler/lowering/product.ts'
import { chooseLayout } from '../../../src/compiler/packing/choose.ts'
import { distinct, maxDifference, newBuilder, packedInput, readBackAll } from '../harness.ts'

// Products of two tensors whose slots hold two channels, of which the last slot may hold one.

const SHAPES: Shape[] = [
  [6, 7, 5],
  [5, 7, 5],
  [150, 5, 11],
  [1, 9, 4],
]

const product = (shape: Shape, exchanged: boolean): Graph => ({
  nodes: [
    { kind: 'input', name: 'x', shape },
    ...(exchanged ? [{ kind: 'exchange', name: 'exchange', source: 0, shape } as const] : []),
    { kind: 'multiply', name: 'product', left: 0, right: exchanged ? 1 : 0, shape },
  ],
  output: exchanged ? 2 : 1,
})

/** The product of a tensor with itself, whose operands may be exchanged. */
function lowered(shape: Shape, batch: number, exchange: { left: boolean; right: boolean }) {
  const builder = newBuilder(batch)
  const layout = chooseLayout(builder.chain.slots, shape, 1)
  const input = packedInput(builder, layout)
  const output = lowerProduct(
    builder,
    { ...input, exchanged: exchange.left },
    { ...input, exchanged: exchange.right },
  )
  return { builder, layout, output }
}

function check(t: Test, shape: Shape, batch: number, exchange: { left: boolean; right: boolean }) {
  const { builder, layout, output } = lowered(shape, batch, exchange)
  const size = shape[0] * shape[1] * shape[2]
  const images = Array.from({ length: batch }, (_, b) => distinct(size, b + 1))
  const isExchanged = exchange.left !== exchange.right
  readBackAll(builder, images, layout, output).forEach(({ elements, stray }, b) => {
    const expected = evaluate(product(shape, isExchanged), images[b])
    t.ok(maxDifference(elements, expected) < 1e-9, `${shape} in a batch of ${batch}`)
    t.ok(stray < 1e-9, 'slots without an element are zero')
  })
  return { builder, layout }
}

for (const batch of [1, 2]) {
  t.test(`products of channels, batch of ${batch}`, async (t) => {
    for (const shape of SHAPES) {
      const { builder, layout } = check(t, shape, batch, { left: false, right: false })
      const count = (kind: string) => builder.ops.filter((op) => op.kind === kind).length
      const perCiphertext = layout.parts === 2 ? { multiply: 2, conjugate: 2 } : { multiply: 1, conjugate: 0 }
      t.same(
        { multiply: count('multiply'), conjugate: count('conjugate') },
        {
          multiply: perCiphertext.multiply * layout.ciphertexts,
          conjugate: perCiphertext.conjugate * layout.ciphertexts,
        },
      )
    }
  })
}

t.test('an exchange of one operand takes no further operation', async (t) => {
  const shape = SHAPES[0]
  const plain = lowered(shape, 1, { left: false, right: false }).builder.ops.length
  for (const [left, right] of [
    [false, true],
    [true, false],
  ]) {
    const { builder } = check(t, shape, 1, { left, right })
    t.equal(builder.ops.length, plain)
  }
})

t.test('an exchange for other layers is a conjugation and a product with i', async (t) => {
  const shape: Shape = [10, 6, 7]
  const builder = newBuilder()
  const layout = chooseLayout(builder.chain.slots, shape, 1)
  const input: Packed = { ...packedInput(builder, layout), exchanged: true }
  const output = exchangePlaces(builder, input)
  const image = distinct(10 * 6 * 7)
  const graph: Graph = {
    nodes: [
      { kind: 'input', name: 'x', shape },
      { kind: 'exchange', name: 'exchange', source: 0, shape },
    ],
    output: 1,
  }
  const [{ elements }] = readBackAll(builder, [image], layout, output)
  t.ok(maxDifference(elements, evaluate(graph, image)) < 1e-9)
  t.equal(exchangePlaces(builder, output), output)
})
