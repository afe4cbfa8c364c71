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

t.test('with one special prime each prime is a digit, as in SEAL', async (t) => {
  t.equal(digitSize(chain(3, 1)), 1)
  t.strictSame(ranges(chain(3, 1)), [
    [0, 1],
    [1, 2],
    [2, 3],
  ])
  t.strictSame(ranges(chain(3, 1), 0), [[0, 1]])
})

t.test(
  'with several special primes a digit has as many consecutive primes; the last digit may be shorter',
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
