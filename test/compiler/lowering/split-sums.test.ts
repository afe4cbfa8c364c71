import t from 'tap'
import { operandsOf } from '../../../src/circuit/operands.ts'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { Circuit, Op, ValueId } from '../../../src/circuit/types.ts'
import { verifyCircuit } from '../../../src/circuit/verify.ts'
import { splitSums } from '../../../src/compiler/lowering/split-sums.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { execute } from '../../../src/he-ops/executor.ts'
import { engineMemory } from '../../../src/schedule/memory.ts'
import { CircuitBuilder } from '../../he-ops/simd/circuits.ts'

// Rotations modulo 30 primes of ring 32768 take 7.9 MB each, so that 69 of them are one section.
const RING = 32768
const primes = nttPrimes(RING, new Array(30).fill(28)).map(String)
const parameters = checkParameters({
  ring: RING,
  primes: primes.slice(0, 24),
  specialPrimes: primes.slice(24),
})
const SECTION = 69

/** Two sums of rotations of one value, and of others that are read by one of them alone. */
function sumsOf(count: number, gaps: readonly number[] = []): Circuit {
  const builder = new CircuitBuilder(parameters)
  const input = builder.input(2 ** 25)
  const rotated = Array.from({ length: count }, (_, i) => builder.rotate(input, i + 1))
  const terms = (from: number): (readonly [ValueId, number])[] =>
    rotated.flatMap((value, i) => (gaps.includes(i) ? [] : [[value, (i + from) % 7] as const]))
  const left = builder.dot(terms(0), 2 ** 25)
  const right = builder.dot(terms(3), 2 ** 25)
  builder.add(builder.rescale(left), builder.rescale(right))
  return builder.finish(Array.from({ length: 7 }, (_, i) => Float64Array.of(0.1 * i - 0.25)))
}

const split = (circuit: Circuit): Circuit => ({ ...circuit, ...splitSums(circuit, circuit.parameters) })

const count = ({ ops }: Circuit, kind: Op['kind']): number => ops.filter((op) => op.kind === kind).length

function resultOf(circuit: Circuit): Float64Array {
  const clear = createClearEvaluator(circuit)
  const { level, scale } = circuit.input
  const x = Float64Array.from({ length: RING / 2 }, (_, s) => Math.sin(s * s + 1))
  return clear.decrypt(execute(circuit, clear, [clear.encrypt(x, level, scale)])).real
}

t.test('few summands stay one sum', async (t) => {
  const circuit = sumsOf(SECTION)
  t.equal(splitSums(circuit, parameters).ops, circuit.ops)
})

t.test('many summands: partial sums behind their sections, and the same values', async (t) => {
  const circuit = sumsOf(2 * SECTION + 5)
  const parts = split(circuit)
  verifyCircuit(parts)
  t.equal(count(parts, 'dot'), 2 * 3)
  t.equal(count(parts, 'add'), 1 + 2 * 2)
  t.equal(count(parts, 'rotate'), count(circuit, 'rotate'))
  const sizes = parts.ops.flatMap((op) => (op.kind === 'dot' ? [op.terms.length] : []))
  t.strictSame(sizes, [SECTION, SECTION, SECTION, SECTION, 5, 5], 'both sums of a section are together')
  const error = resultOf(parts).reduce((most, v, s) => Math.max(most, Math.abs(v - wanted[s])), 0)
  t.ok(error < 1e-9, `${error}`)
})

t.test('summands of many values take less memory', async (t) => {
  const builder = new CircuitBuilder(parameters)
  const inputs = Array.from({ length: 24 }, () => builder.input(2 ** 25))
  const rotated = inputs.flatMap((value) =>
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map((steps) => builder.rotate(value, steps)),
  )
  builder.rescale(
    builder.dot(
      rotated.map((value) => [value, 0] as const),
      2 ** 25,
    ),
  )
  const circuit = builder.finish([Float64Array.of(0.5)])
  const parts = split(circuit)
  const saved =
    engineMemory(circuit).near +
    engineMemory(circuit).far -
    engineMemory(parts).near -
    engineMemory(parts).far
  t.ok(saved > 0.4e9, `${saved} bytes less memory`)
})
const wanted = resultOf(sumsOf(2 * SECTION + 5))

t.test('a sum without summands in a section has no partial sum there', async (t) => {
  const middle = Array.from({ length: SECTION }, (_, i) => SECTION + i)
  const builder = new CircuitBuilder(parameters)
  const input = builder.input(2 ** 25)
  const rotated = Array.from({ length: 3 * SECTION }, (_, i) => builder.rotate(input, i + 1))
  const all = builder.dot(
    rotated.map((value) => [value, 0] as const),
    2 ** 25,
  )
  const some = builder.dot(
    rotated.flatMap((value, i) => (middle.includes(i) ? [] : [[value, 1] as const])),
    2 ** 25,
  )
  builder.add(builder.rescale(all), builder.rescale(some))
  const parts = split(builder.finish([Float64Array.of(0.5), Float64Array.of(-0.25)]))
  verifyCircuit(parts)
  t.equal(count(parts, 'dot'), 3 + 2)
})

t.test('a sum that a later summand of its section depends on keeps its place', async (t) => {
  const at = { level: 23, scale: 2 ** 25, layer: 0 }
  const rotate = (source: ValueId): Op => ({ kind: 'rotate', source, steps: 1, ...at })
  const dot = (values: readonly ValueId[]): Op => ({
    kind: 'dot',
    terms: values.map((value) => ({ value, constant: 0 })),
    constantScale: 1,
    ...at,
  })
  const rotated = Array.from({ length: SECTION + 20 }, (_, i) => i + 1)
  const early = rotated.length + 1
  // Its second section begins with values before the first sum, and ends with one that follows from it.
  const late = dot([...rotated, early + 1])
  const ops = [
    { kind: 'input', index: 0, ...at } as Op,
    ...rotated.map(() => rotate(0)),
    dot(rotated),
    rotate(early),
    late,
  ]
  const parts = splitSums({ ops, result: early + 2 }, parameters)
  t.ok(parts.ops.every((op, id) => operandsOf(op).every((operand) => operand < id)))
  t.strictSame(
    parts.ops.flatMap((op) => (op.kind === 'dot' ? [op.terms.length] : [])),
    [SECTION, SECTION, 20, 21],
  )
  t.equal(parts.result, parts.ops.length - 1)
})
