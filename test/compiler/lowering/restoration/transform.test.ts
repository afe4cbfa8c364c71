import t from 'tap'
import type { ComplexVector } from '../../../../src/circuit/types.ts'
import {
  coefficientsToSlots,
  slotsToCoefficients,
  type TransformFactor,
} from '../../../../src/compiler/lowering/restoration/transform.ts'
import { complexSlotsOfPeriodic } from '../../../../src/he-ops/encoding/embedding-fft.ts'
import { bitReverse } from '../../../../src/he-ops/encoding/order.ts'
import { errorOf, message } from './restored.ts'

/** y[s] = sum over k of diagonal_k[s mod period] * x[s + k], by the definition. */
function applied(x: ComplexVector, factor: TransformFactor): ComplexVector {
  const slots = x.real.length
  const { diagonals, period } = factor.map()
  const y = { real: new Float64Array(slots), imaginary: new Float64Array(slots) }
  for (const [shift, { real, imaginary }] of diagonals) {
    for (let s = 0; s < slots; s++) {
      const [a, b] = [s % period, (s + shift) % slots]
      y.real[s] += real[a] * x.real[b] - imaginary[a] * x.imaginary[b]
      y.imaginary[s] += real[a] * x.imaginary[b] + imaginary[a] * x.real[b]
    }
  }
  return y
}

/** The slots of the polynomial with these coefficients, in bit-reversed order: c_k + i c_(k + n). */
function slotsOfReversed({ real, imaginary }: ComplexVector): ComplexVector {
  const slots = real.length
  const coefficients = new Float64Array(2 * slots)
  for (let k = 0; k < slots; k++) {
    const place = bitReverse(k, Math.log2(slots))
    coefficients[place] = real[k]
    coefficients[place + slots] = imaginary[k]
  }
  return complexSlotsOfPeriodic(coefficients)
}

const CASES = [
  [64, [6]],
  [64, [2, 2, 2]],
  [256, [3, 3, 2]],
  [512, [5, 4]],
  [512, [3, 2, 2, 2]],
] as const

for (const [slots, stages] of CASES) {
  t.test(`${slots} slots in groups of ${stages.join(', ')} stages`, async (t) => {
    const x = message(slots)
    const down = slotsToCoefficients(slots, stages)
    const up = coefficientsToSlots(slots, stages)
    const encoded = down.reduce(applied, x)
    t.ok(errorOf(encoded, slotsOfReversed(x)).largest < 1e-10, 'slots become coefficients')
    t.ok(errorOf(up.reduce(applied, encoded), x).largest < 1e-12, 'and slots again')
    const wrong = errorOf(up.toReversed().reduce(applied, encoded), x).rms
    if (stages.length > 1) t.ok(wrong > 0.1, 'in no other order')
    t.strictSame(
      up.map(({ unit, period }) => [unit, period]),
      down.map(({ unit, period }) => [unit, period]).reverse(),
      'both have factors of the same units, in opposite orders',
    )
    for (const factor of [...down, ...up]) {
      const { unit, shifts } = factor
      const found = [...factor.map().diagonals.keys()].map((shift) => shift / unit).sort((a, b) => a - b)
      t.strictSame(shifts, found, `the shifts of unit ${unit} are those of its diagonals`)
      t.ok(shifts[0] >= 0)
    }
  })
}

/** A value whose slots repeat. */
const repeatedTwice = ({ real, imaginary }: ComplexVector): ComplexVector => ({
  real: Float64Array.of(...real, ...real),
  imaginary: Float64Array.of(...imaginary, ...imaginary),
})

for (const [slots, stages] of CASES) {
  t.test(`${slots} slots in groups of ${stages.join(', ')} stages, with parts apart`, async (t) => {
    const x = message(slots)
    const encoded = repeatedTwice(slotsOfReversed(x))
    const { real } = coefficientsToSlots(slots, stages, 'apart').reduce(applied, encoded)
    const expected = Float64Array.of(...x.real, ...x.imaginary)
    t.ok(
      expected.every((value, s) => Math.abs(value - real[s]) < 1e-12),
      'the real parts, then the imaginary parts',
    )
  })
}

t.test('a group has twice its radix of diagonals, less one; the last one has its radix', async (t) => {
  const counts = slotsToCoefficients(512, [4, 3, 2]).map(({ shifts }) => shifts.length)
  t.strictSame(counts, [31, 15, 4])
})
