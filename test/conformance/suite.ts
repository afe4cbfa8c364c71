import fc from 'fast-check'
import t from 'tap'
import { isComplex, isOuter, periodOf, valuesOf } from '../../src/circuit/constants/constant.ts'
import { largestModulus } from '../../src/circuit/constants/slot-vector.ts'
import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'
import type { Circuit, ComplexVector, Constant, Op, SlotVector, ValueId } from '../../src/circuit/types.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import type { Evaluator } from '../../src/he-ops/backend.ts'
import { createClearEvaluator } from '../../src/he-ops/clear/evaluator.ts'
import { asEncoded } from '../../src/he-ops/encoding/embedding-fft.ts'
import { execute } from '../../src/he-ops/executor.ts'
import { smallParameters } from '../he-ops/seal/fixture.ts'
import { type Complex, complexVector, conjugate, numberAt, sum, times, ZERO } from './complex.ts'
import { randomCircuit } from './random-circuit.ts'

/** Parameters and scale for evaluators that work with any. */
export const parameters: CkksParameters = smallParameters([50, 40, 30], 60)
export const SCALE = 2 ** 30
/** Rotations that have a key; a rotation by 11 has none. */
export const STEPS = [1, 7, 2048, 4095]

const { slots } = parameters

/** An evaluator under test. */
export interface Backend<Ct> {
  readonly name: string
  /** Ring 8192, and a first prime with at least four bits more than the scale. */
  readonly parameters: CkksParameters
  readonly scale: number
  /** An evaluator of circuits with these constants. */
  evaluator(constants: readonly Constant[]): Evaluator<Ct> & { delete?(): void }
  encrypt(evaluator: Evaluator<Ct>, slots: SlotVector, level: number, scale: number): Ct
  decrypt(evaluator: Evaluator<Ct>, ciphertext: Ct): ComplexVector
  /** Largest absolute error of a slot, in units of the message, for results of size about 1 at `scale`. */
  readonly tolerance: number
  /** Number of ciphertexts that are not freed, where the evaluator can count them. */
  live?(evaluator: Evaluator<Ct>): number
  /** False when rotations need no keys. */
  readonly needsKeys: boolean
  /** False when constants are not encoded. */
  readonly rounds?: boolean
}

const x = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const y = Float64Array.from({ length: slots }, (_, s) => Math.cos(5 * s) - 0.25)
/** Complex slots, in which all numbers differ. */
const z = complexVector(slots, (s) => [Math.sin(3 * s + 1), Math.cos(s * s)])
const w = complexVector(slots, (s) => [Math.cos(s + 2) / 2, Math.sin(7 * s) - 0.25])
const constants: Constant[] = [
  Float64Array.of(-0.75),
  Float64Array.of(0.5, -1, 0.25, 1.5),
  Float64Array.from({ length: 512 }, (_, i) => Math.sin(i * i)),
  Float64Array.from({ length: slots }, (_, i) => Math.cos(i * i + 1)),
  {
    fine: Float64Array.of(0.5, -1, 0, 1.25),
    coarse: Float64Array.from({ length: slots / 4 }, (_, i) => Math.cos(i * i + 2)),
  },
  Float64Array.of(1e-9),
]
const complexConstants: Constant[] = [
  complexVector(1, () => [0.25, -0.75]),
  // Purely imaginary.
  complexVector(2, (i) => [0, i + 0.5]),
  complexVector(4, (i) => [i - 1.5, 0.5 - i / 8]),
  complexVector(512, (i) => [Math.sin(i * i), Math.cos(3 * i)]),
  complexVector(slots, (i) => [Math.cos(i * i + 1), Math.sin(i + 5)]),
  {
    fine: complexVector(4, (i) => [0.5 - i / 4, 1 - i]),
    coarse: Float64Array.from({ length: slots / 4 }, (_, i) => Math.cos(i * i + 2)),
  },
]
/** The constant that rounds to zero. */
const TINY = 5
/** Real constants, then complex ones. */
const allConstants = [...constants, ...complexConstants]

/** A number of a constant, by the definition of constants. */
function at(constant: Constant, s: number): Complex {
  if (!isOuter(constant)) return numberAt(constant, s % periodOf(constant))
  const { fine, coarse } = constant
  const period = periodOf(fine)
  return times(numberAt(fine, s % period), coarse[Math.floor(s / period) % coarse.length])
}

/** Tests every law of the `Evaluator` interface on one implementation. */
export function conformance<Ct>(backend: Backend<Ct>): void {
  const evaluator = backend.evaluator(allConstants)
  const { parameters, scale: SCALE } = backend
  const { topLevel } = parameters
  const encrypt = (values: SlotVector, level = topLevel, scale = SCALE): Ct =>
    backend.encrypt(evaluator, values, level, scale)

  /** Checks a result's slots, level and scale, and frees it. */
  const check = (
    t: Tester,
    result: Ct,
    expected: (s: number) => Complex | number,
    [level, scale]: readonly [number, number],
    tolerance = backend.tolerance,
  ): void => {
    t.equal(evaluator.levelOf(result), level, 'level')
    t.equal(evaluator.scaleOf(result), scale, 'scale')
    const worst = largestError(backend.decrypt(evaluator, result), expected)
    t.ok(worst.error <= tolerance, `slot ${worst.slot} is off by ${worst.error}`)
    evaluator.free(result)
  }

  t.test(`${backend.name}: operations`, async (t) => {
    const a = encrypt(x)
    const b = encrypt(y)

    t.test('encrypt and decrypt', async (t) => {
      for (let level = 0; level <= topLevel; level++) check(t, encrypt(x, level), (s) => x[s], [level, SCALE])
    })

    for (const steps of STEPS) {
      t.test(`rotate by ${steps} brings slot s + ${steps} to slot s`, async (t) => {
        check(t, evaluator.rotate(a, steps), (s) => x[(s + steps) % slots], [topLevel, SCALE])
        const low = encrypt(x, 0)
        check(t, evaluator.rotate(low, steps), (s) => x[(s + steps) % slots], [0, SCALE])
        evaluator.free(low)
      })
    }

    t.test('add and subtract', async (t) => {
      check(t, evaluator.add(a, b), (s) => x[s] + y[s], [topLevel, SCALE])
      check(t, evaluator.add(a, a), (s) => 2 * x[s], [topLevel, SCALE])
      check(t, evaluator.subtract(a, b), (s) => x[s] - y[s], [topLevel, SCALE])
    })

    t.test('scales within 2^-40 of each other are added, and the sum has the left one', async (t) => {
      const near = encrypt(y, topLevel, SCALE * (1 + 2 ** -42))
      check(t, evaluator.add(a, near), (s) => x[s] + y[s], [topLevel, SCALE])
      check(t, evaluator.subtract(near, a), (s) => y[s] - x[s], [topLevel, SCALE * (1 + 2 ** -42)])
      t.equal(evaluator.scaleOf(near), SCALE * (1 + 2 ** -42), 'operands keep their scale')
      const sum = evaluator.dot(
        [
          { ciphertext: a, constant: 0 },
          { ciphertext: near, constant: 0 },
        ],
        2 ** 20,
      )
      check(t, sum, (s) => -0.75 * (x[s] + y[s]), [topLevel, SCALE * 2 ** 20])
      evaluator.free(near)
    })

    constants.slice(0, 5).forEach((values, constant) => {
      t.test(
        `dot and addPlain with a constant of period ${periodOf(values)}${isOuter(values) ? ', as a product' : ''}`,
        async (t) => {
          const product = evaluator.dot([{ ciphertext: a, constant }], 2 ** 25)
          check(t, product, (s) => times(at(values, s), x[s]), [topLevel, SCALE * 2 ** 25])
          check(t, evaluator.addPlain(b, constant), (s) => sum(at(values, s), y[s]), [topLevel, SCALE])
          const low = encrypt(y, 0)
          check(t, evaluator.addPlain(low, constant), (s) => sum(at(values, s), y[s]), [0, SCALE])
          evaluator.free(low)
        },
      )
    })

    for (const id of [1, 2, 3, 4, 8, 9, 10, 11]) {
      const constant = allConstants[id]
      t.test(
        `a weight of few bits, ${isComplex(constant) ? 'complex, ' : ''}period ${periodOf(constant)}, acts as its rounded coefficients`,
        async (t) => {
          const scale = 2 ** 5
          const values = valuesOf(constant)
          const rounded = backend.rounds === false ? values : asEncoded(values, scale)
          const product = evaluator.dot([{ ciphertext: a, constant: id }], scale)
          const at = (values: SlotVector) => (s: number) =>
            times(numberAt(values, s % periodOf(values)), x[s])
          if (backend.rounds !== false && periodOf(values) > 4) {
            const off = largestError(backend.decrypt(evaluator, product), at(values)).error
            t.ok(off > 5 * backend.tolerance, `${off} from the weight before rounding`)
          }
          check(t, product, at(rounded), [topLevel, SCALE * scale])
        },
      )
    }

    t.test('dot sums its terms', async (t) => {
      const terms = [0, 1, 2, 3, 1].map((constant, i) => ({ ciphertext: i % 2 ? b : a, constant }))
      const expected = (s: number): Complex =>
        terms.reduce(
          (total, term, i) => sum(total, times(at(constants[term.constant], s), (i % 2 ? y : x)[s])),
          ZERO,
        )
      check(t, evaluator.dot(terms, 2 ** 25), expected, [topLevel, SCALE * 2 ** 25])
    })

    t.test('dot accepts weights that round to zero among others', async (t) => {
      const terms = [5, 0, 5].map((constant) => ({ ciphertext: a, constant }))
      // The skipped weights of 1e-9 change the result by less than this.
      const tolerance = Math.max(backend.tolerance, 3e-9)
      const sum = evaluator.dot(terms, 2 ** 20)
      check(t, sum, (s) => -0.75 * x[s], [topLevel, SCALE * 2 ** 20], tolerance)
    })

    t.test('multiply, relinearise, rescale', async (t) => {
      for (const [right, values] of [
        [b, y],
        [a, x],
      ] as const) {
        const product = evaluator.multiply(a, right)
        t.equal(evaluator.scaleOf(product), SCALE * SCALE)
        const relinearised = evaluator.relinearise(product)
        const scale = (SCALE * SCALE) / Number(parameters.primes[topLevel])
        check(t, evaluator.rescale(relinearised), (s) => x[s] * values[s], [topLevel - 1, scale])
        check(t, relinearised, (s) => x[s] * values[s], [topLevel, SCALE * SCALE])
        evaluator.free(product)
      }
    })

    t.test('products are added and subtracted before one relinearisation', async (t) => {
      const [left, right] = [evaluator.multiply(a, b), evaluator.multiply(b, b)]
      for (const [sum, sign] of [
        [evaluator.add(left, right), 1],
        [evaluator.subtract(left, right), -1],
      ] as const) {
        const relinearised = evaluator.relinearise(sum)
        check(t, relinearised, (s) => x[s] * y[s] + sign * y[s] ** 2, [topLevel, SCALE * SCALE])
        evaluator.free(sum)
      }
      evaluator.free(left)
      evaluator.free(right)
    })

    complexOperations(t)

    t.test('dropLevel', async (t) => {
      check(t, evaluator.dropLevel(a, 1), (s) => x[s], [1, SCALE])
      check(t, evaluator.dropLevel(a, 0), (s) => x[s], [0, SCALE])
    })

    t.test('operands are unchanged', async (t) => {
      check(t, a, (s) => x[s], [topLevel, SCALE])
      check(t, b, (s) => y[s], [topLevel, SCALE])
    })

    t.test('every ciphertext is freed', async (t) => {
      if (backend.live) t.equal(backend.live(evaluator), 0)
    })
  })

  t.test(`${backend.name}: a planted fault is detected`, async (t) => {
    const a = encrypt(x)
    const rotated = evaluator.rotate(a, 7)
    const wrong = largestError(backend.decrypt(evaluator, rotated), (s) => x[(s + slots - 7) % slots])
    t.ok(wrong.error > 10 * backend.tolerance, 'a rotation the other way')
    const turned = evaluator.timesI(a)
    const minusI = largestError(backend.decrypt(evaluator, turned), (s) => [0, -x[s]])
    t.ok(minusI.error > 10 * backend.tolerance, 'minus i')
    for (const ciphertext of [a, rotated, turned]) evaluator.free(ciphertext)
  })

  /** Operations on complex slots; each part of a result is checked. */
  function complexOperations(t: Test): void {
    const a = encrypt(z)
    const b = encrypt(w)

    t.test('encrypt and decrypt complex slots', async (t) => {
      for (let level = 0; level <= topLevel; level++)
        check(t, encrypt(z, level), (s) => numberAt(z, s), [level, SCALE])
    })

    t.test('conjugate', async (t) => {
      check(t, evaluator.conjugate(a), (s) => conjugate(numberAt(z, s)), [topLevel, SCALE])
      const low = encrypt(w, 0)
      check(t, evaluator.conjugate(low), (s) => conjugate(numberAt(w, s)), [0, SCALE])
      evaluator.free(low)
    })

    t.test('timesI', async (t) => {
      check(t, evaluator.timesI(a), (s) => times(numberAt(z, s), [0, 1]), [topLevel, SCALE])
      const low = encrypt(w, 0)
      check(t, evaluator.timesI(low), (s) => times(numberAt(w, s), [0, 1]), [0, SCALE])
      evaluator.free(low)
    })

    t.test('rotate, add and subtract complex slots', async (t) => {
      const [steps] = STEPS
      check(t, evaluator.rotate(a, steps), (s) => numberAt(z, (s + steps) % slots), [topLevel, SCALE])
      check(t, evaluator.add(a, b), (s) => sum(numberAt(z, s), numberAt(w, s)), [topLevel, SCALE])
      const difference = (s: number): Complex => sum(numberAt(z, s), times(numberAt(w, s), -1))
      check(t, evaluator.subtract(a, b), difference, [topLevel, SCALE])
    })

    allConstants.forEach((values, constant) => {
      if (constant === TINY) return
      const kind = `${isComplex(values) ? 'a complex' : 'a real'} constant of period ${periodOf(values)}`
      t.test(
        `complex slots: dot and addPlain with ${kind}${isOuter(values) ? ', as a product' : ''}`,
        async (t) => {
          const product = evaluator.dot([{ ciphertext: a, constant }], 2 ** 25)
          check(t, product, (s) => times(numberAt(z, s), at(values, s)), [topLevel, SCALE * 2 ** 25])
          const low = encrypt(w, 0)
          check(t, evaluator.addPlain(low, constant), (s) => sum(numberAt(w, s), at(values, s)), [0, SCALE])
          evaluator.free(low)
        },
      )
    })

    t.test('dot sums terms of real and complex weights', async (t) => {
      const terms = allConstants.map((_, constant) => ({ ciphertext: constant % 2 ? b : a, constant }))
      const expected = (s: number): Complex =>
        terms.reduce((total, { constant }) => {
          const slot = numberAt(constant % 2 ? w : z, s)
          return sum(total, times(slot, at(allConstants[constant], s)))
        }, ZERO)
      check(t, evaluator.dot(terms, 2 ** 25), expected, [topLevel, SCALE * 2 ** 25])
    })

    t.test('multiply and relinearise complex slots', async (t) => {
      for (const [right, values] of [
        [b, w],
        [a, z],
      ] as const) {
        const product = evaluator.multiply(a, right)
        const relinearised = evaluator.relinearise(product)
        const expected = (s: number): Complex => times(numberAt(z, s), numberAt(values, s))
        check(t, relinearised, expected, [topLevel, SCALE * SCALE])
        evaluator.free(product)
      }
    })

    t.test('any real linear map of both parts is a z + b conj(z)', async (t) => {
      const conjugated = evaluator.conjugate(a)
      const terms = [
        { ciphertext: a, constant: 6 },
        { ciphertext: conjugated, constant: 8 },
      ]
      const expected = (s: number): Complex => {
        const slot = numberAt(z, s)
        return sum(times(slot, at(allConstants[6], s)), times(conjugate(slot), at(allConstants[8], s)))
      }
      check(t, evaluator.dot(terms, 2 ** 25), expected, [topLevel, SCALE * 2 ** 25])
      evaluator.free(conjugated)
    })

    t.test('complex operands are unchanged', async (t) => {
      check(t, a, (s) => numberAt(z, s), [topLevel, SCALE])
      check(t, b, (s) => numberAt(w, s), [topLevel, SCALE])
    })
  }

  t.test(`${backend.name}: refusals`, async (t) => {
    const a = encrypt(x)
    const low = encrypt(x, 1)
    const coarse = encrypt(x, topLevel, 2 ** 20)
    const bottom = encrypt(x, 0)
    const product = evaluator.multiply(a, a)
    const before = backend.live?.(evaluator)

    const refused = (code: string, what: string, body: () => Ct): void => {
      t.throws(body, { code }, what)
    }
    refused('LEVEL_EXHAUSTED', 'add across levels', () => evaluator.add(a, low))
    refused('LEVEL_EXHAUSTED', 'subtract across levels', () => evaluator.subtract(a, low))
    refused('LEVEL_EXHAUSTED', 'multiply across levels', () => evaluator.multiply(a, low))
    refused('LEVEL_EXHAUSTED', 'rescale at level 0', () => evaluator.rescale(bottom))
    refused('LEVEL_EXHAUSTED', 'drop upwards', () => evaluator.dropLevel(low, 2))
    refused('LEVEL_EXHAUSTED', 'drop to itself', () => evaluator.dropLevel(low, 1))
    refused('LEVEL_EXHAUSTED', 'scale beyond the modulus', () => evaluator.multiply(bottom, bottom))
    refused('LEVEL_EXHAUSTED', 'dot beyond the modulus', () =>
      evaluator.dot([{ ciphertext: bottom, constant: 0 }], 2 ** 20),
    )
    refused('SCALE_MISMATCH', 'add across scales', () => evaluator.add(a, coarse))
    refused('SCALE_MISMATCH', 'subtract across scales', () => evaluator.subtract(a, coarse))
    const mixed = [a, coarse].map((ciphertext) => ({ ciphertext, constant: 0 }))
    refused('SCALE_MISMATCH', 'dot across scales', () => evaluator.dot(mixed, 2 ** 20))
    refused('CONFIG_INVALID', 'dot of nothing', () => evaluator.dot([], 2 ** 20))
    refused('CONFIG_INVALID', 'rotation by 0', () => evaluator.rotate(a, 0))
    refused('CONFIG_INVALID', 'rotation by all', () => evaluator.rotate(a, slots))
    refused('CONFIG_INVALID', 'relinearise two polynomials', () => evaluator.relinearise(a))
    refused('CONFIG_INVALID', 'rescale three', () => evaluator.rescale(product))
    refused('CONFIG_INVALID', 'rotate three', () => evaluator.rotate(product, 1))
    refused('CONFIG_INVALID', 'conjugate three', () => evaluator.conjugate(product))
    refused('CONFIG_INVALID', 'three times i', () => evaluator.timesI(product))
    refused('CONFIG_INVALID', 'add two to three', () => evaluator.add(product, a))
    refused('CONFIG_INVALID', 'subtract three from two', () => evaluator.subtract(a, product))
    refused('CONFIG_INVALID', 'multiply three', () => evaluator.multiply(product, a))
    refused('CONFIG_INVALID', 'dot of three', () => evaluator.dot([{ ciphertext: product, constant: 0 }], 2))
    refused('CONFIG_INVALID', 'addPlain to three', () => evaluator.addPlain(product, 0))
    refused('CONFIG_INVALID', 'drop three', () => evaluator.dropLevel(product, 0))
    if (backend.needsKeys) {
      refused('KEYS_MISSING', 'rotation without key', () => evaluator.rotate(a, 11))
      if (parameters.raiseLevel === undefined) {
        refused('KEYS_MISSING', 'raise without keys', () => evaluator.raise(bottom))
      }
    }
    t.equal(backend.live?.(evaluator), before, 'a refused operation leaks no ciphertext')
    for (const ciphertext of [a, low, coarse, bottom, product]) evaluator.free(ciphertext)
  })

  t.test(`${backend.name}: random circuits agree with the clear backend`, async () => {
    fc.assert(
      fc.property(randomCircuit(parameters, STEPS, SCALE), (circuit) => {
        verifyCircuit(circuit)
        agreesWithClear(circuit, backend)
      }),
      { numRuns: 15, seed: 20240611 },
    )
  })

  t.teardown(() => evaluator.delete?.())
}

/** Inputs of random circuits, a real and a complex one. */
const INPUTS: readonly SlotVector[] = [x, w]

function agreesWithClear<Ct>(circuit: Circuit, backend: Backend<Ct>): void {
  const clear = createClearEvaluator(circuit)
  const tested = backend.evaluator([...circuit.constants])
  const { level, scale } = circuit.input
  const expected = clear.decrypt(
    execute(
      circuit,
      clear,
      INPUTS.map((v) => clear.encrypt(v, level, scale)),
    ),
  )
  const inputs = INPUTS.map((v) => backend.encrypt(tested, v, level, scale))
  const result = execute(circuit, tested, inputs, {
    takeInputs: true,
    observe: (id: ValueId, value: Ct) => requireType(circuit.ops[id], tested, value),
  })
  const { error, slot } = largestError(backend.decrypt(tested, result), (s) => numberAt(expected, s))
  const size = Math.max(1, largestModulus(expected))
  tested.free(result)
  const left = backend.live?.(tested) ?? 0
  tested.delete?.()
  if (error > 64 * size * backend.tolerance) throw new Error(`slot ${slot} is off by ${error}`)
  if (left !== 0) throw new Error(`${left} ciphertexts leaked`)
}

function requireType<Ct>(op: Op, evaluator: Evaluator<Ct>, value: Ct): void {
  if (evaluator.levelOf(value) !== op.level || evaluator.scaleOf(value) !== op.scale) {
    throw new Error(`${op.kind} gave level ${evaluator.levelOf(value)}, scale ${evaluator.scaleOf(value)}`)
  }
}

function largestError(
  { real, imaginary }: ComplexVector,
  expected: (s: number) => Complex | number,
): { error: number; slot: number } {
  let worst = { error: 0, slot: 0 }
  real.forEach((value, slot) => {
    const wanted = expected(slot)
    const [re, im] = typeof wanted === 'number' ? [wanted, 0] : wanted
    const error = Math.hypot(value - re, imaginary[slot] - im)
    if (!(error <= worst.error)) worst = { error, slot }
  })
  return worst
}

type Test = Pick<typeof t, 'test'>

interface Tester {
  ok(ok: boolean, message: string): unknown
  equal(found: unknown, wanted: unknown, message: string): unknown
}
