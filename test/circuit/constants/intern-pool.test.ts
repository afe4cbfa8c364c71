import t from 'tap'
import { InternPool } from '../../../src/circuit/constants/intern-pool.ts'

t.test('equal contents have equal numbers, in the order of their first appearance', async (t) => {
  const contents = new InternPool()
  const long = Float64Array.from({ length: 100 }, (_, i) => i)
  t.equal(contents.numberOf(Float64Array.of(1, 2)), 0)
  t.equal(contents.numberOf(long), 1)
  t.equal(contents.numberOf(Float64Array.of(2, 1)), 2)
  t.equal(contents.numberOf(Float64Array.of(1, 2)), 0)
  t.equal(contents.numberOf(long.slice()), 1)
  t.equal(contents.numberOf(long), 1)
  t.equal(contents.length, 3)
  t.strictSame(
    [0, 1, 2].map((number) => contents.at(number)),
    [Float64Array.of(1, 2), long, Float64Array.of(2, 1)],
  )
})

t.test('contents that differ in length or in a single bit have different numbers', async (t) => {
  const contents = new InternPool()
  const alike = [[0], [-0], [0, 0], [1], [1 + Number.EPSILON], [1, 0], [0, 1]]
  const numbers = alike.map((values) => contents.numberOf(Float64Array.from(values)))
  t.strictSame(numbers, [0, 1, 2, 3, 4, 5, 6])
})

t.test('colliding hashes do not confuse contents', async (t) => {
  const contents = new InternPool()
  const count = 200_000
  const numberOf = (i: number): number => contents.numberOf(Float64Array.of(i, 1 / (i + 1)))
  const wrong = (i: number): boolean => numberOf(i) !== i
  t.notOk(Array.from({ length: count }, (_, i) => i).some(wrong))
  t.notOk(Array.from({ length: count }, (_, i) => i).some(wrong), 'repeated contents keep their numbers')
})
