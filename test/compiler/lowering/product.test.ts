import t, { type Test } from 'tap'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph, Node, Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerDiagonal } from '../../../src/compiler/lowering/diagonal.ts'
import type { Form } from '../../../src/compiler/lowering/packed.ts'
import { exchanged, lowerProduct } from '../../../src/compiler/lowering/product.ts'
import { chooseLayout } from '../../../src/compiler/packing/choose.ts'
import { distinct, maxDifference, newBuilder, packedInput, readBackAll } from '../harness.ts'

// Products of tensors whose slots hold two channels, of which the last slot may hold one: d(x) * d(x) or
// d(x) * exchange(d(x)) for a diagonal d, which writes its output in either form.

const SHAPES: Shape[] = [
  [6, 7, 5],
  [5, 7, 5],
  [150, 5, 11],
  [1, 9, 4],
]
const SCALE = 2 ** 25

const diagonal = (shape: Shape): Node & { kind: 'diagonal' } => ({
  kind: 'diagonal',
  name: 'd',
  source: 0,
  shape,
  channel: distinct(shape[0], 3),
  position: distinct(shape[1] * shape[2], 4),
})

const product = (shape: Shape, isExchanged: boolean): Graph => ({
  nodes: [
    { kind: 'input', name: 'x', shape },
    diagonal(shape),
    ...(isExchanged ? [{ kind: 'exchange', name: 'exchange', source: 1, shape } as const] : []),
    { kind: 'multiply', name: 'product', left: 1, right: isExchanged ? 2 : 1, shape },
  ],
  output: isExchanged ? 3 : 2,
})

interface Case {
  readonly shape: Shape
  readonly form: Form
  readonly isExchanged?: boolean
  readonly batch?: number
}

/** Lowers the product, and compares it with the graph. @returns operations by kind, after the diagonal */
function check(t: Test, { shape, form, isExchanged = false, batch = 1 }: Case) {
  const builder = newBuilder(batch)
  const layout = chooseLayout(builder.chain.slots, shape, 1)
  const operand = lowerDiagonal(builder, packedInput(builder, layout), diagonal(shape), SCALE, form)
  const before = builder.ops.length
  const right = isExchanged ? exchanged(builder, operand) : operand
  const output = lowerProduct(builder, operand, right)
  const images = Array.from({ length: batch }, (_, b) => distinct(shape[0] * shape[1] * shape[2], b + 1))
  readBackAll(builder, images, layout, output).forEach(({ elements, stray }, b) => {
    const expected = evaluate(product(shape, isExchanged), images[b])
    t.ok(maxDifference(elements, expected) < 1e-9, `${shape} ${form} in a batch of ${batch}`)
    t.ok(stray < 1e-9, 'slots without an element are zero')
  })
  const counts = new Map<string, number>()
  for (const { kind } of builder.ops.slice(before)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return { counts: Object.fromEntries(counts), ciphertexts: layout.ciphertexts }
}

for (const batch of [1, 2]) {
  t.test(`products of split tensors, batch of ${batch}`, async (t) => {
    for (const shape of SHAPES.slice(0, 3)) {
      const { counts, ciphertexts } = check(t, { shape, form: 'split', batch })
      t.same(counts, {
        multiply: 2 * ciphertexts,
        timesI: ciphertexts,
        add: ciphertexts,
        relinearise: ciphertexts,
      })
    }
  })
}

t.test('an exchange of a split operand takes no operation', async (t) => {
  const shape = SHAPES[0]
  const { counts } = check(t, { shape, form: 'split' })
  t.same(check(t, { shape, form: 'split', isExchanged: true }).counts, counts)
})

t.test('products split joined operands', async (t) => {
  for (const isExchanged of [false, true]) {
    const { counts } = check(t, { shape: SHAPES[0], form: 'joined', isExchanged })
    t.equal(counts.conjugate, isExchanged ? 2 : 1, 'equal conjugates are one operation')
  }
})

t.test('a tensor of one channel has plain products', async (t) => {
  t.same(check(t, { shape: SHAPES[3], form: 'joined' }).counts, { multiply: 1, relinearise: 1 })
})
