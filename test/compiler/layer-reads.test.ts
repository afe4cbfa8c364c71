import t from 'tap'
import type { Circuit, Op } from '../../src/circuit/types.ts'
import { compile } from '../../src/compiler/index.ts'
import { layerReads } from '../../src/compiler/layer-reads.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import { golden } from './harness.ts'

const VALUE = { level: 2, scale: 2 ** 30 }

/** A circuit of some layers with these operations, as far as connections of layers depend on it. */
function circuitOf(layers: number, ops: readonly Op[]): Circuit {
  const small = smallCircuit()
  const constants = [Float64Array.of(1), Float64Array.of(0.5, 1), Float64Array.of(2)]
  return { ...small, layers: Array.from({ length: layers }, () => small.layers[0]), ops, constants }
}

const input = (layer: number): Op => ({ kind: 'input', index: 0, ...VALUE, layer })
const rotated = (source: number, layer: number): Op => ({ kind: 'rotate', source, steps: 1, ...VALUE, layer })
const summed = (left: number, right: number, layer: number): Op => ({
  kind: 'add',
  left,
  right,
  ...VALUE,
  layer,
})
const weighted = (value: number, constant: number, layer: number): Op => ({
  kind: 'dot',
  terms: [{ value, constant }],
  constantScale: 2 ** 20,
  ...VALUE,
  layer,
})

t.test(
  'a layer reads what it computes with, and not what has only its form from another layer',
  async (t) => {
    // Layer 1 rotates the input and multiplies it; layer 2 multiplies the same rotation.
    const shared = [input(0), rotated(0, 1), weighted(1, 1, 1), weighted(1, 1, 2)]
    t.strictSame(layerReads(circuitOf(3, shared)), [[], [0], [0]])
    // Layer 1 changes the input's scale, which layer 2 multiplies; a factor that is not one is a computation.
    const scaled = (constant: number) => [
      input(0),
      weighted(0, constant, 1),
      weighted(0, 1, 1),
      weighted(1, 1, 2),
    ]
    t.strictSame(layerReads(circuitOf(3, scaled(0))), [[], [0], [0]])
    t.strictSame(layerReads(circuitOf(3, scaled(2))), [[], [0], [1]])
  },
)

t.test('a sum of two layers is a result, and one of two forms of a layer is not', async (t) => {
  const residual = [input(0), weighted(0, 1, 1), summed(0, 1, 2), weighted(2, 1, 3)]
  t.strictSame(layerReads(circuitOf(4, residual)), [[], [0], [0, 1], [2]])
  const doubled = [input(0), rotated(0, 1), summed(0, 1, 1), weighted(2, 1, 1), weighted(2, 1, 2)]
  t.strictSame(layerReads(circuitOf(3, doubled)), [[], [0], [0]])
})

t.test('the result of a layer that only changes a form is that form', async (t) => {
  const pooled = [input(0), rotated(0, 1), summed(0, 1, 1), weighted(2, 1, 2)]
  t.strictSame(layerReads(circuitOf(3, pooled)), [[], [0], [1]])
})

t.test('a compiled network has the connections of its model', async (t) => {
  const { network } = await golden('micro_t')
  const { plan } = compile(network, {
    model: 'micro_t',
    preprocessing: null,
    refresh: 'client',
  })
  const { layers } = plan
  const readers = new Set(layers.flatMap(({ reads }) => reads))
  layers.forEach(({ name, reads }, i) => {
    t.equal(reads.length === 0, i === 0, `all but the input read something: ${name}`)
    t.ok(
      reads.every((read) => read < i),
      `${name} reads layers before it`,
    )
    t.equal(readers.has(i), i < layers.length - 1, `all but the logits are read: ${name}`)
  })
  const readOf = (name: string): string[] =>
    layers.find((layer) => layer.name === name)!.reads.map((read) => layers[read].name)
  for (const cell of ['cells.1.stack.0', 'cells.2.stack.1']) {
    t.strictSame(readOf(`${cell}.conv.fine`), [`${cell}.conv.in`])
    t.strictSame(readOf(`${cell}.conv.product`), [`${cell}.conv.coarse`, `${cell}.conv.fine`])
    t.strictSame(readOf(`${cell}.mlp.low`), [`${cell}.conv.out`], 'which mlp.high refreshes for both')
    t.strictSame(readOf(`${cell}.mlp.out`), [`${cell}.conv.out`, `${cell}.mlp.norm.scale`])
  }
  t.strictSame(readOf('cells.2.stack.1.conv.out'), [
    'cells.2.stack.0.mlp.out',
    'cells.2.stack.1.conv.depthwise',
  ])
  t.strictSame(readOf('reductions.0.0'), ['stem'], 'the cell before the last one')
})
