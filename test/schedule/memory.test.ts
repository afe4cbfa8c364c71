import t from 'tap'
import { circuitElements, keyLevels, rotationSteps } from '../../src/circuit/keys.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit, Op } from '../../src/circuit/types.ts'
import { compile } from '../../src/compiler/index.ts'
import { sealMemory } from '../../src/compiler/planner/target/seal-memory.ts'
import { compileCircuit } from '../../src/he-ops/simd/circuit-program.ts'
import { ConstantStore } from '../../src/he-ops/simd/constants/constant-store.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../../src/models/index.ts'
import { constantBytes } from '../../src/schedule/encoded-constants.ts'
import { keyMemory, mostKeyMemory } from '../../src/schedule/key-memory.ts'
import { POLYNOMIAL_GAP_BYTES } from '../../src/schedule/limits.ts'
import { simdMemory } from '../../src/schedule/memory.ts'
import { tableBytes } from '../../src/schedule/program-tables.ts'
import { golden } from '../compiler/harness.ts'
import { newSimdContext } from '../he-ops/simd/fixture.ts'
import { noKey } from '../support/no-key.ts'
import { raising } from '../support/raising.ts'

// Five data primes and two special ones: three digits at the highest level, over seven primes.
const RING = 8192
const primes = nttPrimes(RING, new Array(7).fill(28)).map(String)
const parameters = checkParameters({
  ring: RING,
  primes: primes.slice(0, 5),
  specialPrimes: primes.slice(5),
})
const at = (level: number) => ({ level, scale: 2 ** 20, layer: 0 })
const circuitOf = (ops: Op[], constants: Float64Array[] = []) => ({
  parameters,
  constants,
  ops,
  result: ops.length - 1,
})
const LIMB = 4 * RING
/** Memory of polynomials of values, with the gaps between them. */
const polynomials = (count: number, limbs: number): number => count * (limbs * LIMB + POLYNOMIAL_GAP_BYTES)
/** Tables of seven primes. */
const ALWAYS = 7 * 4 * LIMB
/**
 * The key of a rotation: three digits of two polynomials over seven primes; with the tables of its
 * automorphism and the inverse.
 */
const ROTATION = 3 * 2 * 7 * LIMB + 2 * RING
/** Memory of decomposing at the highest level: the digits, and the residues that they are extended from. */
const DIGITS = (3 * 7 + 5 + 3) * LIMB

// Words of the tables of addresses. A table of key switching has two words for each digit, and three for a
// polynomial that is added; one of a base conversion three for each prime, and for the quotients.
/** At the highest level: two polynomials over seven primes, and one of five limbs that is added. */
const SWITCH_TABLES = 4 * (2 * 7 * 3 * 2 + 5 * 3)
/** Digits of two, two and one primes, extended to the others of seven. */
const DIGIT_TABLES = 4 * (5 * 9 + 5 * 9 + 6 * 6)
/** The division by both special primes. */
const DIVISION_TABLES = 4 * 2 * 5 * 9

/** Two key switches of one value, and the division of their sum by the special primes and a data prime. */
const SUM_TABLES = 2 * SWITCH_TABLES + DIGIT_TABLES + 4 * 2 * 4 * 12

const input: Op = { kind: 'input', index: 0, ...at(4) }
const rotate = (source: number, steps: number): Op => ({ kind: 'rotate', source, steps, ...at(4) })

t.test('counted by hand: values take their memory', async (t) => {
  t.equal(simdMemory(circuitOf([input])), ALWAYS + polynomials(2, 5))
  const add: Op = { kind: 'add', left: 0, right: 0, ...at(4) }
  t.equal(simdMemory(circuitOf([input, add])), ALWAYS + polynomials(4, 5))
  const drop: Op = { kind: 'dropLevel', source: 0, ...at(1) }
  t.equal(simdMemory(circuitOf([input, drop])), ALWAYS + polynomials(2, 5), 'the same memory is reused')
  const square: Op = { kind: 'multiply', left: 0, right: 0, ...at(4) }
  t.equal(simdMemory(circuitOf([input, square])), ALWAYS + polynomials(5, 5))
})

t.test('counted by hand: freed values make room', async (t) => {
  const add = (value: number): Op => ({ kind: 'add', left: value, right: value, ...at(4) })
  t.equal(simdMemory(circuitOf([input, add(0), add(1), add(2)])), ALWAYS + polynomials(4, 5))
  t.equal(
    simdMemory(circuitOf([input, add(0), add(1), { ...add(2), right: 0 } as Op])),
    ALWAYS + polynomials(6, 5),
    'a value with a later reader is not freed',
  )
})

t.test('counted by hand: the division of a rotation is the peak', async (t) => {
  // The source, the result, the undivided result over seven primes, and the digits.
  t.equal(
    simdMemory(circuitOf([input, rotate(0, 1)])),
    ALWAYS +
      ROTATION +
      polynomials(4, 5) +
      14 * LIMB +
      DIGITS +
      SWITCH_TABLES +
      DIGIT_TABLES +
      DIVISION_TABLES,
  )
})

t.test(
  'counted by hand: a key has the digits and the primes of the highest level of its rotations',
  async (t) => {
    const drop: Op = { kind: 'dropLevel', source: 0, ...at(2) }
    const low: Op = { kind: 'rotate', source: 1, steps: 1, ...at(2) }
    const lower: Op = { kind: 'dropLevel', source: 2, ...at(1) }
    const lowest: Op = { kind: 'rotate', source: 3, steps: 1, ...at(1) }
    // Two digits over three data primes and both special ones.
    const key = 2 * 2 * 5 * LIMB + 2 * RING
    // Both polynomials of the input, and of a rotation, its undivided result over five primes, and its
    // digits.
    const most = polynomials(2, 5) + polynomials(2, 3) + 10 * LIMB + (2 * 5 + 3 + 2) * LIMB
    // Over five primes, with digits of two primes and of one; over four primes, with one digit.
    const tables = 4 * (2 * 5 * 2 * 2 + 3 * 3 + (3 * 9 + 4 * 6) + 2 * 3 * 9)
    const lowestTables = 4 * (2 * 4 * 2 + 2 * 3 + 2 * 9 + 2 * 2 * 9)
    t.equal(
      simdMemory(circuitOf([input, drop, low, lower, lowest])),
      ALWAYS + key + most + tables + lowestTables,
    )
  },
)

t.test('counted by hand: rotations of one source share digits, and stay extended for a sum', async (t) => {
  const ops: Op[] = [
    input,
    rotate(0, 1),
    rotate(0, 2),
    { kind: 'add', left: 1, right: 2, ...at(4) },
    { kind: 'rescale', source: 3, ...at(3) },
  ]
  t.equal(
    simdMemory(circuitOf(ops)),
    ALWAYS + 2 * ROTATION + polynomials(2, 5) + polynomials(4, 7) + DIGITS + SUM_TABLES,
  )
})

t.test('counted by hand: a division needs scratch memory for the residues that it divides by', async (t) => {
  const rescale: Op = { kind: 'rescale', source: 0, ...at(3) }
  t.equal(
    simdMemory(circuitOf([input, rescale])),
    ALWAYS + polynomials(2, 5) + polynomials(2, 4) + 2 * 2 * LIMB + 4 * 2 * 4 * 6,
  )
})

t.test('counted by hand: a refresh takes memory for its source and its result', async (t) => {
  const drop: Op = { kind: 'dropLevel', source: 0, ...at(0) }
  const refresh: Op = { kind: 'refresh', source: 1, round: 0, ...at(4) }
  t.equal(simdMemory(circuitOf([input, drop, refresh])), ALWAYS + polynomials(4, 5))
})

t.test('counted by hand: constants take their own size, once for each use', async (t) => {
  const dot = (constant: number, constantScale: number, value = 0): Op => ({
    kind: 'dot',
    terms: [{ value, constant }],
    constantScale,
    ...at(4),
  })
  const periodic = Float64Array.of(1, 2, 3, 4)
  const full = new Float64Array(RING / 2).fill(1)
  const sum = polynomials(4, 5)
  // Each polynomial has a row of addresses, with the size of blocks if there are blocks.
  const row = 2 * 3 * 4
  t.equal(simdMemory(circuitOf([input, dot(0, 8)], [periodic])), ALWAYS + sum + 8 * 4 * 5 + row)
  t.equal(simdMemory(circuitOf([input, dot(0, 8)], [full])), ALWAYS + sum + 5 * LIMB + 2 * 2 * 4)
  const twice = circuitOf([input, dot(0, 8), dot(0, 8, 1)], [periodic])
  t.equal(simdMemory(twice), ALWAYS + sum + 8 * 4 * 5 + 2 * row)
  const scales = circuitOf([input, dot(0, 8), dot(0, 16, 1)], [periodic])
  t.equal(simdMemory(scales), ALWAYS + sum + 2 * 8 * 4 * 5 + 2 * row)
})

t.test('counted by hand: a sum has one more table if not all summands are extended', async (t) => {
  const dot = (...values: number[]): Op => ({
    kind: 'dot',
    terms: values.map((value) => ({ value, constant: 0 })),
    constantScale: 8,
    ...at(4),
  })
  const row = 2 * 3 * 4
  const tablesOf = (...ops: Op[]): number =>
    tableBytes(circuitOf([input, rotate(0, 1), ...ops], [Float64Array.of(1, 2)])) -
    (SWITCH_TABLES + DIGIT_TABLES + DIVISION_TABLES)
  t.equal(tablesOf(dot(0, 0)), 2 * row)
  t.equal(tablesOf(dot(1, 1, 1)), 3 * row)
  t.equal(tablesOf(dot(0, 1, 0)), (3 + 1) * row)
})

t.test('counted by hand: expanded constants take half of their coefficients', async (t) => {
  const full = new Float64Array(RING / 2).fill(1)
  const dot: Op = { kind: 'dot', terms: [{ value: 0, constant: 0 }], constantScale: 8, ...at(4) }
  const addPlain: Op = { kind: 'addPlain', source: 1, constant: 0, ...at(4), scale: 64 }
  const circuit = circuitOf([input, dot, addPlain], [full])
  t.equal(
    constantBytes(circuit, () => false),
    2 * 5 * LIMB,
  )
  t.equal(
    constantBytes(circuit, (_id, _scale, use) => use === 'weight'),
    LIMB / 2 + 5 * LIMB,
  )
  t.equal(
    constantBytes(circuit, () => true),
    LIMB / 2 + LIMB,
  )
})

t.test(
  'counted by hand: a complex constant takes as many residues, and all of its coefficients',
  async (t) => {
    const part = new Float64Array(RING / 2).fill(1)
    const dot: Op = { kind: 'dot', terms: [{ value: 0, constant: 0 }], constantScale: 8, ...at(4) }
    const addPlain: Op = { kind: 'addPlain', source: 1, constant: 0, ...at(4), scale: 64 }
    const complex = { ...circuitOf([input, dot, addPlain]), constants: [{ real: part, imaginary: part }] }
    t.equal(
      constantBytes(complex, () => false),
      2 * 5 * LIMB,
    )
    t.equal(
      constantBytes(complex, () => true),
      LIMB + 2 * LIMB,
    )
    const both = { ...complex, constants: [...complex.constants, part] }
    const second: Op = { ...dot, terms: [{ value: 0, constant: 1 }] } as Op
    t.equal(
      constantBytes({ ...both, ops: [input, dot, second], result: 2 }, () => true),
      LIMB + LIMB / 2,
      'of two constants at one scale',
    )
  },
)

t.test('counted by hand: conjugation takes a key, and shares digits with rotations', async (t) => {
  const conjugate: Op = { kind: 'conjugate', source: 0, ...at(4) }
  const ops: Op[] = [
    input,
    rotate(0, 1),
    conjugate,
    { kind: 'add', left: 1, right: 2, ...at(4) },
    { kind: 'rescale', source: 3, ...at(3) },
  ]
  t.equal(
    simdMemory(circuitOf(ops)),
    ALWAYS + 2 * ROTATION + polynomials(2, 5) + polynomials(4, 7) + DIGITS + SUM_TABLES,
  )
  const timesI: Op = { kind: 'timesI', source: 0, ...at(4) }
  t.equal(simdMemory(circuitOf([input, timesI])), ALWAYS + polynomials(4, 5))
})

t.test('the engine takes the stated memory for complex constants and conjugations', async (t) => {
  for (const isExpanded of [false, true]) {
    const numbers = (salt: number) =>
      Float64Array.from({ length: RING / 2 }, (_, i) => Math.sin(i + salt) / 2)
    const constants = Array.from({ length: 40 }, (_, i) => ({ real: numbers(i), imaginary: numbers(-i) }))
    const context = await newSimdContext(parameters)
    const store = new ConstantStore(context, constants, () => isExpanded)
    const ops: Op[] = [
      input,
      { kind: 'conjugate', source: 0, ...at(4) },
      {
        kind: 'dot',
        terms: constants.map((_, constant) => ({ value: constant % 2, constant })),
        constantScale: 2 ** 20,
        ...at(4),
        scale: 2 ** 40,
      },
      { kind: 'addPlain', source: 2, constant: 0, ...at(4), scale: 2 ** 40 },
    ]
    const circuit = { ...circuitOf(ops), constants }
    const keys = {
      relinKey: noKey,
      galoisKeys: new Map([[2 * RING - 1, noKey]]),
      raiseKeys: { down: noKey, up: noKey },
    }
    compileCircuit(context, circuit, keys, store, 1)
    t.equal(
      store.bytes,
      constantBytes(circuit, () => isExpanded),
    )
  }
})

/** The memory that the engine takes for a circuit, with the computed size of keys instead of real keys. */
async function engineBytes(
  circuit: Pick<Circuit, 'parameters' | 'constants' | 'ops' | 'result'>,
): Promise<number> {
  const context = await newSimdContext(circuit.parameters)
  const elements = circuitElements(circuit.parameters, circuit)
  const galoisKeys = new Map(elements.map((element) => [element, noKey]))
  const keys = { relinKey: noKey, galoisKeys, raiseKeys: { down: noKey, up: noKey } }
  const constants = new ConstantStore(context, circuit.constants)
  compileCircuit(context, circuit, keys, constants, 2)
  return context.heap.used + keyMemory(circuit.parameters, keyLevels(circuit.parameters, circuit))
}

t.test('plans state the memory that the engine takes', async (t) => {
  const oneShot = await golden('one_shot')
  const { preprocessing } = oneShot.network.config
  const plans = [16384, 32768, 65536].map((ring): [string, Circuit] => [
    `one_shot, ring ${ring}`,
    compile(oneShot.network, { model: 'm', preprocessing, rings: [ring], refresh: 'never' }).circuit,
  ])
  for (const { name, checkpoint, config } of bundledNetworks()) {
    const network = loadNetwork(await readCheckpoint(checkpoint), config)
    plans.push([name, compile(network, { model: name, ...config, refresh: 'never' }).circuit])
  }
  for (const [name, circuit] of plans) {
    const taken = await engineBytes(circuit)
    const { memoryBytes } = circuit.estimate
    t.ok(Math.abs(memoryBytes / taken - 1) < 0.03, `${name}: ${memoryBytes} of ${taken} bytes`)
  }
})

t.test('raised values: keys, and the memory while their moduli are raised', async (t) => {
  // A sum of products with raised values, at level 1 and at level 0.
  for (const level of [0, 1]) {
    const count = 6
    const ops: Op[] = [input, { kind: 'dropLevel', source: 0, ...at(level) }]
    for (let i = 0; i < count; i++) ops.push({ kind: 'raise', source: 1, ...at(4) })
    for (let i = 0; i < count; i++) {
      ops.push({ kind: 'add', left: i === 0 ? 0 : 1 + count + i, right: 2 + i, ...at(4) })
    }
    const circuit = { ...circuitOf(ops), parameters: raising(parameters, level) }
    const keys = 2 * (level + 1) * (level + 2) * LIMB + 3 * 2 * 7 * LIMB
    t.equal(mostKeyMemory(circuit.parameters, 0) - mostKeyMemory(parameters, 0), keys)
    const stated = simdMemory(circuit)
    t.ok(stated > ALWAYS + keys + count * 3 * 7 * LIMB, 'the digits of all values')
    const taken = await engineBytes(circuit)
    t.ok(Math.abs(stated / taken - 1) < 0.03, `${stated} of ${taken} bytes`)
  }
})

t.test('node-seal takes eight bytes for each word of keys and values', async (t) => {
  const oneShot = await golden('one_shot')
  const { preprocessing } = oneShot.network.config
  const { circuit } = compile(oneShot.network, { model: 'm', preprocessing, target: 'seal' })
  const { ring, primes: data } = circuit.parameters
  const keys = (rotationSteps(circuit).length + 1) * data.length + 1
  const bytes = keys * 2 * ring * (data.length + 1) * 8
  t.ok(sealMemory(circuit) > bytes)
  t.ok(sealMemory(circuit) < 1.5 * bytes)
  t.equal(circuit.estimate.memoryBytes, sealMemory(circuit))
})
