import t from 'tap'
import { readBatch } from '../../src/client/local/answer.ts'

const output = {
  classes: 3,
  period: 4,
  level: 0,
  scale: 2 ** 20,
  bound: 50,
  tolerance: 0.01,
  flooding: 0,
  precision: 2 ** -8,
}

/** An honest answer for a batch of two: class k of image b is in slot 2 k + b. */
const real = Float64Array.of(1, -2, 3, -4, 5, -6, 0.001, -0.002)
const imaginary = Float64Array.of(0.001, 0, -0.002, 0, 0.003, 0, 0, 0.004)
const read = (change: { real?: Float64Array; imaginary?: Float64Array } = {}) =>
  readBatch({ real, imaginary, ...change }, { output, batch: 2 })

t.test('an honest answer has the logits of each image', async (t) => {
  t.strictSame(read(), [Float64Array.of(1, 3, 5), Float64Array.of(-2, -4, -6)])
})

t.test('an imaginary part beyond the tolerance shows that the computation wrapped', async (t) => {
  for (const slot of imaginary.keys()) {
    for (const value of [0.02, -0.02, Number.NaN]) {
      t.throws(
        () => read({ imaginary: imaginary.with(slot, value) }),
        { code: 'TENSOR_OUT_OF_RANGE', facts: { batch: 2 } },
        `${value} in slot ${slot}`,
      )
    }
  }
})

t.test('logits beyond their bound and values in empty slots are refused', async (t) => {
  const cases: [slot: number, value: number][] = [
    [0, 50],
    [5, -50.1],
    [2, Number.NaN],
    [6, 0.02],
    [7, -0.02],
  ]
  for (const [slot, value] of cases) {
    t.throws(() => read({ real: real.with(slot, value) }), { code: 'TENSOR_OUT_OF_RANGE' }, `slot ${slot}`)
  }
})
