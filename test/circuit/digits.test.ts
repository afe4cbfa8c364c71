import t from 'tap'
import { digitCount, digitRange, digitSize } from '../../src/circuit/parameters/parameters.ts'

const chain = (primes: number, special: number) => ({
  primes: Array.from({ length: primes }, (_, i) => BigInt(i + 3)),
  specialPrimes: Array.from({ length: special }, (_, i) => BigInt(i + 103)),
})

const ranges = (c: ReturnType<typeof chain>, level?: number): number[][] =>
  Array.from({ length: digitCount(c, level) }, (_, digit) => {
    const { start, end } = digitRange(c, digit, level)
    return [start, end]
  })

t.test('one special prime: a digit for each prime, as SEAL', async (t) => {
  t.equal(digitSize(chain(3, 1)), 1)
  t.strictSame(ranges(chain(3, 1)), [
    [0, 1],
    [1, 2],
    [2, 3],
  ])
  t.strictSame(ranges(chain(3, 1), 0), [[0, 1]])
})

t.test(
  'several: as many consecutive primes as there are special ones, the last digit shortened',
  async (t) => {
    t.strictSame(ranges(chain(7, 3)), [
      [0, 3],
      [3, 6],
      [6, 7],
    ])
    t.strictSame(ranges(chain(7, 3), 4), [
      [0, 3],
      [3, 5],
    ])
    t.strictSame(ranges(chain(7, 3), 2), [[0, 3]])
    t.strictSame(ranges(chain(7, 3), 0), [[0, 1]])
    t.strictSame(ranges(chain(2, 4)), [[0, 2]], 'more special primes than data primes')
  },
)
