import t from 'tap'
import type { Circuit, Op } from '../../../../src/circuit/types.ts'
import { verifyCircuit } from '../../../../src/circuit/verify.ts'
import {
  errorOf,
  message,
  type RestorationChoices,
  repeated,
  restorationCircuit,
  restorationParameters,
  restoredInClear,
  withOp,
} from './restored.ts'

const DIRECT = { babySteps: 'direct', giantSteps: 'direct' } as const

const CASES: readonly (readonly [ring: number, choices: RestorationChoices])[] = [
  [512, { stages: [4, 4] }],
  [1024, { stages: [3, 3, 3] }],
  [1024, { stages: [5, 4], rotations: DIRECT }],
  [1024, { stages: [5, 4], rotations: { babySteps: 'tree', giantSteps: 'horner' } }],
  [2048, { stages: [3, 3, 2, 2] }],
  [1024, { stages: [4, 4], copies: 2 }],
  [2048, { stages: [3, 3, 2], copies: 4 }],
  [2048, { stages: [4, 3], rotations: DIRECT, copies: 8 }],
]

for (const [ring, choices] of CASES) {
  const { stages, copies = 1 } = choices
  t.test(
    `ring ${ring}, stages ${stages.join(' ')}, ${copies} copies: a value comes back at the network's level`,
    async (t) => {
      const parameters = restorationParameters(ring, choices)
      const { circuit, restorer } = restorationCircuit(parameters, choices)
      const slots = repeated(message(ring / 2 / copies), copies)
      const exact = errorOf(restoredInClear(circuit, slots, 'none'), slots)
      t.ok(exact.rms < 2 ** -18.5, `rms of the sine's deviation 2^${Math.log2(exact.rms)}`)
      const noisy = errorOf(restoredInClear(circuit, slots, 'model'), slots)
      const stated = Math.sqrt(restorer.errorVariance(ring, 1))
      const ratio = Math.log2(stated / noisy.rms)
      t.ok(ratio > -0.4 && ratio < 2, `the stated error is 2^${ratio} of the one with noise`)
      t.equal(circuit.output.level, restorer.shape.levels.network)
      t.ok(
        circuit.output.scale > 2 ** 33 && circuit.output.scale < 2 ** 39,
        'the scale serves the next layers',
      )
    },
  )
}

const SMALL: RestorationChoices = { stages: [3, 3, 2] }
const small = restorationParameters(512, SMALL)
const { circuit } = restorationCircuit(small, SMALL)
const slots = message(256)

t.test('the circuit keeps all laws but those of the ring', async (t) => {
  t.throws(() => verifyCircuit({ ...circuit, raise: undefined }), /does not bound the values that it raises/)
  t.throws(
    () => verifyCircuit({ ...circuit, raise: { bound: 8 } }),
    /beyond their bound with a chance of 2\^-\d/,
    'a bound that is too small',
  )
  t.throws(
    () => verifyCircuit({ ...circuit, raise: { bound: 16.75 } }),
    /No raised coefficient is beyond 16.5/,
    'a bound that says nothing',
  )
  for (const stages of [[3, 3, 3], [8, 0], [9], []]) {
    t.throws(
      () => verifyCircuit({ ...circuit, raise: { bound: 13.25, stages } }),
      /stages do not fit the slots/,
      `${stages.join(' + ')} stages in 256 slots`,
    )
  }
})

t.test('rotations need two keys for each group, whichever transform', async (t) => {
  const steps = new Set(circuit.ops.flatMap((op) => (op.kind === 'rotate' ? [op.steps] : [])))
  t.equal(steps.size, 2 * SMALL.stages.length)
  t.equal(circuit.ops.filter(({ kind }) => kind === 'relinearise').length, 24)
  t.equal(circuit.ops.filter(({ kind }) => kind === 'raise').length, 1)
})

t.test('messages of any expected size come back with the stated error', async (t) => {
  for (const rms of [1 / 30, 1 / 4, 4, 50]) {
    const { circuit, restorer } = restorationCircuit(small, { ...SMALL, rms })
    const own = message(256, rms)
    const back = errorOf(restoredInClear(circuit, own, 'model'), own).rms
    const stated = Math.sqrt(restorer.errorVariance(512, rms))
    t.ok(back < 2 * stated && back > stated / 4, `${rms}: ${back}, stated ${stated}`)
    t.ok(back < 2 ** -13.5 * rms, `a relative error of 2^${Math.log2(back / rms)}`)
  }
})

t.test('a message beyond the range comes back wrong', async (t) => {
  const real = slots.real.slice()
  real[7] = 0.45 * 2 ** 13
  const large = { ...slots, real }
  const back = restoredInClear(circuit, large, 'none')
  t.ok(Math.abs(back.real[7] - real[7]) > 1000)
  t.ok(Math.abs(back.real[8] - real[8]) < 1e-4, 'others are unharmed')
})

/** The first operation of a kind that `is` holds for, changed. */
function planted<K extends Op['kind']>(kind: K, change: (op: Extract<Op, { kind: K }>) => Op): Circuit {
  const id = circuit.ops.findIndex((op) => op.kind === kind)
  return withOp(circuit, id, change(circuit.ops[id] as Extract<Op, { kind: K }>))
}

t.test('planted faults are seen', async (t) => {
  const error = (faulty: Circuit): number => errorOf(restoredInClear(faulty, slots, 'none'), slots).rms
  t.ok(error(circuit) < 2 ** -18)
  const { slots: count } = small
  t.ok(
    error(planted('rotate', (op) => ({ ...op, steps: count - op.steps }))) > 0.1,
    'a rotation the other way',
  )
  const other = planted('dot', (op) => op)
  const id = circuit.ops.findIndex((op) => op.kind === 'dot' && op.terms.length > 2)
  const dot = circuit.ops[id] as Extract<Op, { kind: 'dot' }>
  const [first, second, ...rest] = dot.terms
  const exchanged = [
    { ...first, constant: second.constant },
    { ...second, constant: first.constant },
    ...rest,
  ]
  t.ok(error(withOp(other, id, { ...dot, terms: exchanged })) > 0.1, "two diagonals in each other's places")
  t.ok(error(planted('conjugate', (op) => ({ ...op, kind: 'timesI' }))) > 0.1, 'no conjugation')
})
