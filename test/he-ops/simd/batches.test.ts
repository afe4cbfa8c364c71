import fc from 'fast-check'
import t from 'tap'
import { operandsOf } from '../../../src/circuit/operands.ts'
import type { Circuit, Op, ValueId } from '../../../src/circuit/types.ts'
import { type Step, stepsOf } from '../../../src/schedule/steps.ts'
import { randomCircuit } from '../../conformance/random-circuit.ts'
import { CircuitBuilder, parameters, STEPS, smallSimdCircuit } from './circuits.ts'

const short = (order: readonly Step[]): string[] => order.map(({ kind, ops }) => `${kind} ${ops.join(' ')}`)

/**
 * @throws when an operation is missing, appears twice, is in a step of another kind, or precedes an operand
 */
function requireOrder({ ops }: Pick<Circuit, 'ops'>, order: readonly Step[], maxSources: number): void {
  const done = new Set<ValueId>()
  for (const batch of order) {
    for (const id of batch.ops) {
      if (stepOf(ops[id]) !== batch.kind) throw new Error(`${id} is no ${batch.kind}`)
      if (done.has(id)) throw new Error(`${id} comes twice`)
      if (!operandsOf(ops[id]).every((operand) => done.has(operand))) throw new Error(`${id} comes too early`)
    }
    // Marked only here, because operations of one step must not depend on each other.
    for (const id of batch.ops) done.add(id)
    if (batch.kind === 'rotate') requireRotations(ops, batch, maxSources)
  }
  if (done.size !== ops.length) throw new Error(`${ops.length - done.size} operations are missing`)
}

/** The kind of an operation's step. Conjugations are in steps of rotations. */
const stepOf = ({ kind }: Op): string => (kind === 'conjugate' ? 'rotate' : kind)

const sourceOf = (op: Op): ValueId => (op.kind === 'rotate' || op.kind === 'conjugate' ? op.source : -1)

function requireRotations(ops: Circuit['ops'], { ops: ids }: Step, maxSources: number): void {
  const sources = new Set(ids.map((id) => sourceOf(ops[id])))
  if (sources.size > maxSources) throw new Error(`${sources.size} sources in one batch`)
  if (new Set(ids.map((id) => ops[id].level)).size > 1)
    throw new Error('rotations of two levels in one batch')
}

t.test('every operation once, behind its operands: random circuits', async (t) => {
  let rotations = 0
  fc.assert(
    fc.property(
      randomCircuit(parameters, STEPS, 2 ** 26),
      fc.integer({ min: 1, max: 3 }),
      (circuit, most) => {
        rotations += circuit.ops.filter(({ kind }) => kind === 'rotate').length
        requireOrder(circuit, stepsOf(circuit, most), most)
      },
    ),
    { numRuns: 500, seed: 16 },
  )
  t.ok(rotations > 100, `${rotations} rotations`)
})

t.test('every operation once, behind its operands: any graph', async () => {
  const kinds = ['rotate', 'addPlain', 'add', 'rescale', 'relinearise', 'multiply', 'dropLevel'] as const
  const draft = fc.record({ kind: fc.constantFrom(...kinds), a: fc.nat(), b: fc.nat(), level: fc.nat(2) })
  fc.assert(
    fc.property(fc.array(draft, { maxLength: 200 }), fc.integer({ min: 1, max: 4 }), (drafts, most) => {
      const at = { scale: 1, layer: 0 }
      const ops: Op[] = [{ kind: 'input', index: 0, level: 2, ...at }]
      for (const { kind, a, b, level } of drafts) {
        const [left, right] = [a % ops.length, b % ops.length]
        ops.push({ kind, source: left, left, right, steps: 1, constant: 0, level, ...at } as Op)
      }
      requireOrder({ ops }, stepsOf({ ops }, most), most)
    }),
    { numRuns: 300, seed: 17 },
  )
})

t.test('the small circuit, pinned', async (t) => {
  t.strictSame(short(stepsOf(smallSimdCircuit(), 8)), [
    'input 0 1',
    'subtract 2',
    'rotate 3 4',
    'dot 5',
    'rescale 6',
    'multiply 7',
    'relinearise 8',
    'addPlain 9',
    'rescale 10',
    'dot 11',
    'rotate 12',
    'add 13',
    'dropLevel 14',
  ])
})

/** Three values, each rotated twice; the rotations alternate between them. */
function alternating(): Circuit {
  const build = new CircuitBuilder()
  const x = build.input()
  const y = build.input()
  const z = build.add(x, y)
  const rotated = [1, 7].flatMap((steps) => [x, y, z].map((value) => build.rotate(value, steps)))
  build.dot(rotated.map((value) => [value, 0]))
  return build.finish([Float64Array.of(1)])
}

t.test('rotations of one source come together, those of so many sources as may be', async (t) => {
  const circuit = alternating()
  t.strictSame(short(stepsOf(circuit, 3)), ['input 0 1', 'add 2', 'rotate 3 4 5 6 7 8', 'dot 9'])
  t.strictSame(short(stepsOf(circuit, 2)), ['input 0 1', 'add 2', 'rotate 3 4 6 7', 'rotate 5 8', 'dot 9'])
  t.strictSame(short(stepsOf(circuit, 1)), [
    'input 0 1',
    'add 2',
    'rotate 3 6',
    'rotate 4 7',
    'rotate 5 8',
    'dot 9',
  ])
})

t.test('rotations of two levels are two batches', async (t) => {
  const build = new CircuitBuilder()
  const x = build.input()
  const low = build.dropLevel(x, 2)
  const sum = build.add(build.rotate(low, 1), build.dropLevel(build.rotate(x, 1), 2))
  build.add(sum, build.rotate(low, 7))
  t.strictSame(short(stepsOf(build.finish([]), 8)), [
    'input 0',
    'dropLevel 1',
    'rotate 2 6',
    'rotate 3',
    'dropLevel 4',
    'add 5',
    'add 7',
  ])
})

t.test('rotations wait until nothing else can be done, so that more of them go together', async (t) => {
  const build = new CircuitBuilder()
  const x = build.input()
  const first = build.rotate(x, 1)
  const scaled = build.rescale(build.dot([[x, 0]]))
  const low = build.dropLevel(build.rotate(x, 7), 3)
  const sum = build.add(build.rescale(build.dot([[first, 0]])), build.rotate(scaled, 1))
  build.dot([[sum, 0]], 2)
  build.dot([[low, 0]], 2)
  const order = stepsOf({ ops: build.ops }, 8)
  t.strictSame(short(order).slice(0, 5), ['input 0', 'dot 2', 'rescale 3', 'rotate 1 4', 'dropLevel 5'])
})

t.test('operations far ahead of what is not done wait', async (t) => {
  const at = { level: 0, scale: 1, layer: 0 }
  const ops: Op[] = [{ kind: 'input', index: 0, ...at }]
  for (let i = 0; i < 10_000; i++) ops.push({ kind: 'addPlain', source: 0, constant: 0, ...at })
  const order = stepsOf({ ops }, 1)
  requireOrder({ ops }, order, 1)
  // The first step is the input; each further one has operations within 4096 of the first that is not done.
  t.strictSame(
    order.map((batch) => batch.ops.length),
    [1, 4096, 4096, 1808],
  )
})

t.test('a planted fault is caught', async (t) => {
  const circuit = alternating()
  const order = stepsOf(circuit, 2)
  requireOrder(circuit, order, 2)
  t.throws(() => requireOrder(circuit, order.toReversed(), 2), /too early/)
  t.throws(() => requireOrder(circuit, order.slice(0, -1), 2), /missing/)
  t.throws(() => requireOrder(circuit, order, 1), /sources/)
  t.throws(() => requireOrder(circuit, [...order, order[0]], 2), /twice/)
})
