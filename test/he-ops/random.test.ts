import t from 'tap'
import { uniformIntegers } from '../../src/he-ops/random.ts'

t.test('every integer of the range comes, and equally often', async (t) => {
  const counts = new Map<number, number>()
  const draws = 70_000
  for (const value of uniformIntegers(draws, 3)) counts.set(value, (counts.get(value) ?? 0) + 1)
  t.same(
    [...counts.keys()].sort((a, b) => a - b),
    [-3, -2, -1, 0, 1, 2, 3],
  )
  // Chi-squared with 6 degrees of freedom: beyond 50 once in 2 * 10^8 runs.
  const expected = draws / 7
  const chiSquared = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
  t.ok(chiSquared < 50, `chi-squared ${chiSquared}`)
})

t.test('both ends come where twice the bound is a power of two', async (t) => {
  for (const bound of [1, 2, 4]) {
    // One of nine values is missing from 2000 draws once in 10^101 runs.
    const values = uniformIntegers(2000, bound)
    t.equal(Math.max(...values), bound)
    t.equal(Math.min(...values), -bound)
  }
})

t.test('wide ranges have the moments of a uniform distribution', async (t) => {
  const bound = 2 ** 45 + 12345
  const values = uniformIntegers(50_000, bound)
  t.ok(values.every((value) => Number.isInteger(value) && Math.abs(value) <= bound))
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length / bound
  const variance = values.reduce((sum, value) => sum + (value / bound) ** 2, 0) / values.length
  t.ok(Math.abs(mean) < 0.02)
  t.ok(Math.abs(variance - 1 / 3) < 0.01)
  t.ok(values.filter((value) => value % 2 === 0).length > 24_000, 'low bits vary')
  t.ok(values.filter((value) => value % 2 !== 0).length > 24_000)
})

t.test('a bound of zero gives zeros', async (t) => t.same([...uniformIntegers(3, 0)], [0, 0, 0]))
