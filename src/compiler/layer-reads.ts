import { operandsOf } from '../circuit/operands.ts'
import type { Circuit, Op, OpKind, ValueId } from '../circuit/types.ts'

/** Kinds that change where numbers stand or how they are encrypted, and compute nothing with weights. */
const FORMS: ReadonlySet<OpKind> = new Set<OpKind>([
  'rotate',
  'conjugate',
  'timesI',
  'add',
  'subtract',
  'relinearise',
  'rescale',
  'dropLevel',
  'refresh',
  'raise',
])

/**
 * The layers whose results each layer computes with, by index and in order.
 *
 * Forms of one result that several layers need, such as its rotations, are made once, as operations of the
 * first of them. So the layer that an operation belongs to is not always the one whose result it holds: a
 * form still counts as the result of the layer that computed it.
 */
export function layerReads(circuit: Circuit): number[][] {
  const origins = originsOf(circuit)
  const reads = circuit.layers.map(() => new Set<number>())
  circuit.ops.forEach((op, value) => {
    if (origins[value] !== op.layer) return
    for (const source of operandsOf(op)) reads[op.layer].add(origins[source])
  })
  return reads.map((layers, layer) => [...layers].filter((other) => other !== layer).sort((a, b) => a - b))
}

/** The layer whose result each value is a part or a form of. */
function originsOf(circuit: Circuit): Int32Array {
  const { ops, layers } = circuit
  const forms = traced(circuit, () => true)
  // A layer that does nothing but change a form has that form as its result.
  const computes = layers.map(() => false)
  for (const [value, { layer }] of ops.entries()) if (forms[value] === layer) computes[layer] = true
  return traced(circuit, (layer) => computes[layer])
}

/** @param mayForm whether a layer's values can be forms of other layers' results */
function traced(circuit: Circuit, mayForm: (layer: number) => boolean): Int32Array {
  const { ops } = circuit
  const origins = new Int32Array(ops.length)
  for (const [value, op] of ops.entries()) {
    const isForm = mayForm(op.layer) && changesForm(op, circuit)
    origins[value] = (isForm ? commonOrigin(operandsOf(op), origins) : undefined) ?? op.layer
  }
  return origins
}

function commonOrigin(values: readonly ValueId[], origins: Int32Array): number | undefined {
  const origin = origins[values[0]]
  return values.every((value) => origins[value] === origin) ? origin : undefined
}

/** Whether an operation changes the form of its operands. A product with the number one changes the scale. */
function changesForm(op: Op, { constants }: Circuit): boolean {
  if (op.kind !== 'dot') return FORMS.has(op.kind)
  if (op.terms.length !== 1) return false
  const constant = constants.at(op.terms[0].constant)
  return constant instanceof Float64Array && constant.length === 1 && constant[0] === 1
}
