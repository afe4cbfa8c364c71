import t from 'tap'
import { applyTaps, shiftTaps } from '../../../src/compiler/graph/taps.ts'
import { shiftQuarters } from '../../../src/models/reference/shift.ts'
import { numbers } from '../support/checkpoint.ts'
import { maxAbsDifference } from '../support/golden.ts'

t.test('quarters of the channels move, and the border keeps its values', async (t) => {
  const map = [1, 2, 3, 4, 5, 6]
  const data = Float64Array.from([0, 10, 20, 30].flatMap((first) => map.map((value) => first + value)))
  const { data: found } = shiftQuarters({ shape: [4, 2, 3], data })
  t.strictSame(
    [...found],
    [
      ...[1, 2, 3, 1, 2, 3],
      ...[14, 15, 16, 14, 15, 16],
      ...[21, 21, 22, 24, 24, 25],
      ...[32, 33, 33, 35, 36, 36],
    ],
  )
})

t.test("the compiler's taps compute the same, for channels that do not divide too", async (t) => {
  const next = numbers(4)
  for (const shape of [
    [8, 5, 7],
    [11, 4, 3],
    [3, 6, 2],
    [1, 1, 5],
  ] as const) {
    const [channels, height, width] = shape
    const data = Float64Array.from({ length: channels * height * width }, next)
    const found = applyTaps({ taps: shiftTaps(shape), shape }, data)
    t.equal(maxAbsDifference(found, shiftQuarters({ shape, data }).data), 0, shape.join(' x '))
  }
})
