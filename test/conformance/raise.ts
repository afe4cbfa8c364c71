import t from 'tap'
import { log2Modulus } from '../../src/circuit/laws.ts'
import { EPHEMERAL_WEIGHT } from '../../src/circuit/parameters/ephemeral.ts'
import { embedPeriodicFast } from '../../src/he-ops/encoding/embedding-fft.ts'
import { complexVector } from './complex.ts'
import type { Backend } from './suite.ts'

/** What a raised value has in its coefficients beside its message. */
export interface Raised {
  /** The multiple of the modulus in each coefficient. */
  readonly multiples: readonly number[]
  /** The largest difference to the message and the multiple, in units of the message. */
  readonly error: number
}

/**
 * Compares the coefficients of a raised value with those of its message.
 *
 * @param modulus of the raise level, divided by the scale
 */
export function compareRaised(before: Float64Array, after: Float64Array, modulus: number): Raised {
  const multiples = Array.from(after, (coefficient, k) => Math.round((coefficient - before[k]) / modulus))
  const error = multiples.reduce(
    (most, multiple, k) => Math.max(most, Math.abs(after[k] - before[k] - multiple * modulus)),
    0,
  )
  return { multiples, error }
}

/** Whether multiples are no larger than those of the ephemeral secret can be. */
export const areSmall = (multiples: readonly number[]): boolean =>
  multiples.every((multiple) => Math.abs(multiple) <= TERMS / 2)

/** Deviation of numbers whose mean is zero. */
export const deviation = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)

/** Terms of a raised coefficient, each uniform between -1/2 and 1/2. */
const TERMS = EPHEMERAL_WEIGHT + 1

/** Largest error of a coefficient. Coefficients of the message are about 1 / sqrt(N), which is 0.01. */
const TOLERANCE = 1e-4

/**
 * Tests the law of `raise`. Decryption has double precision, so that the modulus of the raise level is that
 * of one prime.
 *
 * @param backend whose parameters have the raise level 0
 */
export function raiseConformance<Ct>(backend: Backend<Ct>): void {
  const { parameters, scale } = backend
  const { slots, topLevel } = parameters
  const modulus = 2 ** log2Modulus(parameters, 0) / scale
  const values = complexVector(slots, (s) => [Math.sin(3 * s + 1), Math.cos(s * s)])

  t.test(`${backend.name}: raise adds few multiples of the modulus to each coefficient`, async (t) => {
    const evaluator = backend.evaluator([])
    t.teardown(() => evaluator.delete?.())
    const low = backend.encrypt(evaluator, values, 0, scale)
    const raised = evaluator.raise(low)
    t.equal(evaluator.levelOf(raised), topLevel)
    t.equal(evaluator.scaleOf(raised), scale)
    t.equal(evaluator.levelOf(low), 0, 'the operand keeps its level')
    const before = embedPeriodicFast(values)
    const after = embedPeriodicFast(backend.decrypt(evaluator, raised))
    const { multiples, error } = compareRaised(before, after, modulus)
    t.ok(error <= TOLERANCE, `a coefficient is off by ${error}`)
    t.ok(areSmall(multiples), 'multiples are small')
    const spread = deviation(multiples)
    t.ok(Math.abs(spread / Math.sqrt(TERMS / 12) - 1) < 0.05, `deviation ${spread}`)
    for (const [what, other] of [
      ['another sign', before.map((value) => -value)],
      ['another order', before.map((_, k) => before[(k + 1) % before.length])],
    ] as const) {
      t.ok(compareRaised(other, after, modulus).error > 10 * TOLERANCE, `${what} is noticed`)
    }
    for (const ciphertext of [low, raised]) evaluator.free(ciphertext)
    if (backend.live) t.equal(backend.live(evaluator), 0, 'every ciphertext is freed')
  })

  t.test(`${backend.name}: a product of three polynomials is not raised`, async (t) => {
    const evaluator = backend.evaluator([])
    t.teardown(() => evaluator.delete?.())
    const a = backend.encrypt(evaluator, values, topLevel, scale)
    const product = evaluator.multiply(a, a)
    t.throws(() => evaluator.raise(product), { code: 'CONFIG_INVALID' })
    for (const ciphertext of [a, product]) evaluator.free(ciphertext)
  })
}
