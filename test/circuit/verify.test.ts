import t from 'tap'
import { ConstantTable } from '../../src/circuit/constants/constant-table.ts'
import type { Circuit, Op } from '../../src/circuit/types.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { widen } from '../../src/compiler/lowering/widen.ts'
import type { ErrorCodeName } from '../../src/errors/index.ts'
import { complexCircuit, SCALE, smallCircuit } from './circuits.ts'

const withOp = (index: number, change: Partial<Record<string, unknown>>): Circuit => {
  const circuit = smallCircuit()
  return { ...circuit, ops: circuit.ops.map((op, i) => (i === index ? ({ ...op, ...change } as Op) : op)) }
}

const withOps = (change: (ops: Op[]) => void, result = 10): Circuit => {
  const circuit = smallCircuit()
  const ops = [...circuit.ops]
  change(ops)
  return { ...circuit, ops, result }
}

const withConstant = (id: number, values: Float64Array): Circuit => {
  const circuit = smallCircuit()
  return { ...circuit, constants: circuit.constants.map((c, i) => (i === id ? values : c)) }
}

const term = (value: number, constant = 0) => ({ value, constant })

t.test('the unchanged circuit is valid', async () => verifyCircuit(smallCircuit()))

t.test('a circuit on complex slots is valid', async () => verifyCircuit(complexCircuit()))

/** The circuit on complex slots with another constant 0. */
const withComplex = (real: Float64Array, imaginary: Float64Array): Circuit => {
  const circuit = complexCircuit()
  return { ...circuit, constants: [{ real, imaginary }, ...[...circuit.constants].slice(1)] }
}

t.test('a complex constant has a part that is not zero', async (t) => {
  const [zeros, ones] = [new Float64Array(4), new Float64Array(4).fill(1)]
  verifyCircuit(withComplex(zeros, ones))
  verifyCircuit(withComplex(ones, zeros))
  const refused: [Circuit, RegExp][] = [
    [withComplex(zeros, zeros), /Constant 0 is zero/],
    [withComplex(ones, Float64Array.of(1, 2, Number.NaN, 4)), /Constant 0 is not finite/],
    [withComplex(ones, ones.slice(0, 2)), /other numbers of real and imaginary parts/],
    [withComplex(new Float64Array(3).fill(1), new Float64Array(3).fill(1)), /Constant 0 has 3 values/],
  ]
  for (const [circuit, message] of refused) {
    t.throws(() => verifyCircuit(circuit), { code: 'CONFIG_INVALID', message, facts: { constant: 0 } })
  }
})

t.test('the absolute value of a complex constant has to fit its level', async (t) => {
  // The level has 50 + 40 + 30 bits, and the constant is encoded at 20. Each part alone fits.
  const part = new Float64Array(4).fill(2 ** 98.8)
  t.throws(() => verifyCircuit(withComplex(part, part)), { code: 'LEVEL_EXHAUSTED', facts: { constant: 0 } })
  verifyCircuit(withComplex(part, new Float64Array(4)))
})

t.test('conjugations and products with i keep the type, and take no product', async (t) => {
  const circuit = complexCircuit()
  const changed = (index: number, change: object): Circuit => ({
    ...circuit,
    ops: circuit.ops.map((op, i) => (i === index ? ({ ...op, ...change } as Op) : op)),
  })
  for (const index of [2, 3]) {
    t.throws(() => verifyCircuit(changed(index, { scale: 2 ** 31 })), { code: 'SCALE_MISMATCH' })
    t.throws(() => verifyCircuit(changed(index, { level: 1 })), { code: 'LEVEL_EXHAUSTED' })
    const { kind } = circuit.ops[index]
    const ops = [...smallCircuit().ops]
    ops[8] = { kind, source: 6, level: 1, scale: SCALE.product, layer: 1 } as Op
    t.throws(
      () => verifyCircuit({ ...smallCircuit(), ops }),
      { code: 'CONFIG_INVALID', facts: { op: 8 } },
      kind,
    )
  }
})

/** The circuit for a batch of images. */
const batched = (batch: number, change: (circuit: Circuit) => Partial<Circuit> = () => ({})): Circuit => {
  const circuit = smallCircuit()
  // Layouts are those of one image. Operations and constants are widened to the slots of all images.
  const constants = [circuit.constants[0], circuit.constants[1], Float64Array.of(0.5, -0.25)]
  const widened = { ...circuit, batch, ...widen({ ops: circuit.ops, constants }, batch) }
  return { ...widened, ...change(widened) }
}

t.test('a circuit for a batch is valid', async () => {
  for (const batch of [1, 2, 4, 64]) verifyCircuit(batched(batch))
})

const brokenBatches: [law: string, circuit: Circuit, message: RegExp][] = [
  ...[0, -2, 3, 1.5, 8192, Number.NaN, undefined as unknown as number].map(
    (batch): [string, Circuit, RegExp] => [
      `the batch is not ${batch}`,
      { ...smallCircuit(), batch },
      /do not share/,
    ],
  ),
  [
    'a rotation does not mix images',
    batched(4, ({ ops }) => ({ ops: ops.map((op, i) => (i === 2 ? ({ ...op, steps: 7 } as Op) : op)) })),
    /Operation 2 .* mixes the 4 images/,
  ],
  [
    'a constant is the same for all images',
    batched(2, ({ constants: [, ...others] }) => ({ constants: [Float64Array.of(1, 1, 2, 3), ...others] })),
    /Constant 0 differs among the 2 images/,
  ],
  [
    'an outer constant is the same for all images',
    batched(2, ({ constants: [, ...others] }) => ({
      constants: [{ fine: Float64Array.of(1, -1), coarse: Float64Array.of(1, 2) }, ...others],
    })),
    /Constant 0 differs/,
  ],
  [
    'imaginary parts are the same for all images',
    batched(2, ({ constants: [, ...others] }) => ({
      constants: [{ real: Float64Array.of(1, 1), imaginary: Float64Array.of(1, 2) }, ...others],
    })),
    /Constant 0 differs/,
  ],
  [
    'a constant has a number for each image',
    batched(4, ({ constants: [, ...others] }) => ({ constants: [Float64Array.of(1, 1), ...others] })),
    /Constant 0 differs/,
  ],
  [
    'the answer repeats within the slots of an image',
    batched(512, ({ output }) => ({ output: { ...output, period: 16 } })),
    /in 8 slots/,
  ],
]

for (const [law, circuit, message] of brokenBatches) {
  t.test(`broken: ${law}`, async (t) => {
    t.throws(() => verifyCircuit(circuit), { code: 'CONFIG_INVALID', message })
  })
}

const broken: [law: string, circuit: Circuit, code: ErrorCodeName, facts: object][] = [
  [
    'flooding fits the level',
    { ...smallCircuit(), output: { ...smallCircuit().output, flooding: 2 ** 40 } },
    'LEVEL_EXHAUSTED',
    { level: smallCircuit().output.level },
  ],
  ['defined before used', withOp(2, { source: 5 }), 'CONFIG_INVALID', { op: 2, layer: 'stem' }],
  ['not its own operand', withOp(2, { source: 2 }), 'CONFIG_INVALID', { op: 2 }],
  ['no operand is negative', withOp(2, { source: -1 }), 'CONFIG_INVALID', { op: 2 }],
  ['the layer exists', withOp(6, { layer: 2 }), 'CONFIG_INVALID', { op: 6, layer: 'no layer' }],
  ['the constant exists', withOp(8, { constant: 3 }), 'CONFIG_INVALID', { op: 8, layer: 'cells.0' }],
  ['the constant of a term exists', withOp(4, { terms: [term(3, 9)] }), 'CONFIG_INVALID', { op: 4 }],
  ['kind exists', withOp(5, { kind: 'bootstrap' }), 'CONFIG_INVALID', { op: 5 }],
  ['rotation not 0', withOp(2, { steps: 0 }), 'CONFIG_INVALID', { op: 2 }],
  ['rotation below slots', withOp(2, { steps: 4096 }), 'CONFIG_INVALID', { op: 2 }],
  ['rotation keeps the scale', withOp(2, { scale: 2 ** 31 }), 'SCALE_MISMATCH', { op: 2 }],
  ['rotation keeps the level', withOp(2, { level: 1 }), 'LEVEL_EXHAUSTED', { op: 2 }],
  ['dot has terms', withOp(4, { terms: [] }), 'CONFIG_INVALID', { op: 4 }],
  ['dot multiplies scales', withOp(4, { constantScale: 2 ** 21 }), 'SCALE_MISMATCH', { op: 4 }],
  ['dot has a scale', withOp(4, { constantScale: Number.NaN }), 'CONFIG_INVALID', { op: 4 }],
  ['scale below the modulus', withOp(4, { constantScale: 2 ** 90 }), 'LEVEL_EXHAUSTED', { op: 4 }],
  [
    'rescale divides exactly',
    withOp(5, { scale: SCALE.rescaled * (1 + 2 ** -52) }),
    'SCALE_MISMATCH',
    { op: 5 },
  ],
  ['rescale takes one level', withOp(5, { level: 0 }), 'LEVEL_EXHAUSTED', { op: 5 }],
  ['multiply multiplies scales', withOp(6, { scale: SCALE.rescaled }), 'SCALE_MISMATCH', { op: 6 }],
  ['multiply has one level', withOp(6, { left: 4 }), 'LEVEL_EXHAUSTED', { op: 6 }],
  ['relinearise takes a product', withOp(7, { source: 5 }), 'CONFIG_INVALID', { op: 7 }],
  ['only relinearise takes a product', withOp(8, { source: 6 }), 'CONFIG_INVALID', { op: 8 }],
  ['add has one scale', withOp(9, { left: 7, right: 5 }), 'SCALE_MISMATCH', { op: 9, layer: 'cells.0' }],
  ['add has one level', withOp(9, { left: 7, right: 4 }), 'LEVEL_EXHAUSTED', { op: 9 }],
  ['no x - x', withOp(3, { left: 0, right: 0 }), 'CONFIG_INVALID', { op: 3 }],
  ['dropLevel goes down', withOp(10, { level: 1 }), 'LEVEL_EXHAUSTED', { op: 10 }],
  ['dropLevel stops at 0', withOp(10, { level: -1 }), 'LEVEL_EXHAUSTED', { op: 10 }],
  ['weight fits', withConstant(1, Float64Array.of(2 ** 101)), 'LEVEL_EXHAUSTED', { op: 4, constant: 1 }],
  ['addend fits', withConstant(2, new Float64Array(4096).fill(2 ** 70)), 'LEVEL_EXHAUSTED', { op: 8 }],
  [
    'constant of a power of two',
    withConstant(0, Float64Array.of(1, 2, 3)),
    'CONFIG_INVALID',
    { constant: 0 },
  ],
  ['constant not empty', withConstant(0, new Float64Array()), 'CONFIG_INVALID', { constant: 0 }],
  [
    'constant within slots',
    withConstant(1, new Float64Array(8192).fill(1)),
    'CONFIG_INVALID',
    { constant: 1 },
  ],
  ['constant finite', withConstant(0, Float64Array.of(1, Number.NaN)), 'CONFIG_INVALID', { constant: 0 }],
  ['constant not zero', withConstant(0, Float64Array.of(0, 0)), 'CONFIG_INVALID', { constant: 0 }],
  ['each input once', withOp(1, { index: 0 }), 'CONFIG_INVALID', {}],
  ['inputs in range', withOp(1, { index: 2 }), 'CONFIG_INVALID', {}],
  ['input as specified', withOp(1, { level: 1 }), 'LEVEL_EXHAUSTED', { op: 1 }],
  ['input scale as specified', withOp(1, { scale: 2 ** 29 }), 'SCALE_MISMATCH', { op: 1 }],
  ['result exists', { ...smallCircuit(), result: 11 }, 'CONFIG_INVALID', {}],
  ['result is computed', { ...smallCircuit(), result: 0 }, 'CONFIG_INVALID', {}],
  ['result is relinearised', withOps((ops) => ops.splice(7), 6), 'CONFIG_INVALID', {}],
  ['result as specified', { ...smallCircuit(), result: 9 }, 'SCALE_MISMATCH', { op: 9 }],
  ['everything is used', withOp(9, { left: 7 }), 'CONFIG_INVALID', { op: 8, kind: 'addPlain' }],
  [
    'classes fit the period',
    { ...smallCircuit(), output: { ...smallCircuit().output, classes: 5 } },
    'CONFIG_INVALID',
    {},
  ],
]

for (const [law, circuit, code, facts] of broken) {
  t.test(`law: ${law}`, async (t) => {
    t.throws(() => verifyCircuit(circuit), { code, facts })
  })
}

t.test('operands of an addition may differ by less than 2^-40', async (t) => {
  const change = (relative: number) =>
    withOps((ops) => {
      const scale = SCALE.input * (1 + relative)
      ops[4] = { ...ops[4], kind: 'dot', constantScale: scale / SCALE.input, scale } as Op
      ops.splice(5, 6, { kind: 'add', left: 4, right: 3, level: 2, scale, layer: 1 })
    }, 5)
  const within = change(2 ** -42)
  const output = { ...within.output, level: 2, scale: within.ops[5].scale }
  verifyCircuit({ ...within, output })
  t.throws(() => verifyCircuit(change(2 ** -38)), { code: 'SCALE_MISMATCH' })
})

t.test('a factor that a million constants share is checked once', async (t) => {
  const circuit = smallCircuit()
  const values = [...circuit.constants, Float64Array.from({ length: 4096 }, (_, i) => 1 + (i & 1))]
  let looks = 0
  const factors = {
    length: values.length,
    at(number: number) {
      looks++
      return values[number]
    },
  }
  const fine = Uint32Array.from({ length: 1_000_000 }, (_, id) => Math.min(id, values.length - 1))
  const constants = new ConstantTable(factors, fine, new Uint32Array(fine.length))
  verifyCircuit({ ...circuit, constants })
  t.ok(looks < 10 * values.length, `${looks} looks at ${values.length} factors`)
  values[values.length - 1][4095] = Number.NaN
  t.throws(() => verifyCircuit({ ...circuit, constants }), {
    code: 'CONFIG_INVALID',
    facts: { constant: values.length - 1 },
  })
})

t.test('masked values fit the refresh level with the stated probability', async (t) => {
  const refreshedAt = (level: number): Circuit => {
    const circuit = smallCircuit()
    const { scale } = circuit.input
    const { topLevel } = circuit.parameters
    const ops: Op[] = [
      { kind: 'input', index: 0, layer: 0, level: topLevel, scale },
      { kind: 'input', index: 1, layer: 0, level: topLevel, scale },
      { kind: 'add', left: 0, right: 1, layer: 0, level: topLevel, scale },
      { kind: 'dropLevel', source: 2, layer: 0, level, scale },
      { kind: 'refresh', source: 3, round: 0, layer: 0, level: topLevel, scale },
    ]
    const input = { ...circuit.input, level: topLevel }
    const output = { ...circuit.output, level: topLevel, scale }
    return { ...circuit, ops, result: 4, input, output, refresh: { level } }
  }
  // Levels 0 and 1 have 50 and 90 bits in all.
  verifyCircuit(refreshedAt(1))
  t.throws(() => verifyCircuit(refreshedAt(0)), {
    code: 'LEVEL_EXHAUSTED',
    message: 'Masked values do not fit the refresh level',
  })
})
