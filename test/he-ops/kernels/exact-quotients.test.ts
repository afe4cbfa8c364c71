import fc from 'fast-check'
import t from 'tap'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { invert, nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { MOST_REFRESH_PRIMES } from '../../../src/circuit/refresh.ts'
import { BaseConversion } from '../../../src/he-ops/simd/tables/base-conversion.ts'
import { newSimdContext } from '../simd/fixture.ts'
import { generator } from './fixture.ts'

// Quotients of the exact base extension, compared with bigint arithmetic, mainly near the ends of the range.

const bits = [30, 29, 28, 27, 25, 24, 22, 20]
const data = nttPrimes(8192, [...bits, 20]).map(String)
/** These primes have 197 bits together, within the limit of the table. */
const parameters = checkParameters({ ring: 8192, primes: data.slice(0, 7), specialPrimes: data.slice(7, 8) })
const context = await newSimdContext(parameters)
const { heap, kernels, moduli } = context

const productOf = (factors: readonly bigint[]): bigint => factors.reduce((all, factor) => all * factor, 1n)

/** Quotients of integers x in 0 .. S - 1: by the kernel, and exact. */
function quotients(sources: readonly number[], xs: readonly bigint[]): { found: number[]; exact: number[] } {
  const conversion = new BaseConversion(heap, moduli, sources, false)
  const primes = sources.map((index) => moduli[index].prime)
  const product = productOf(primes)
  const size = Math.ceil(xs.length / 4) * 4
  const y = heap.allocate(4 * size * sources.length)
  const out = heap.allocate(4 * size)
  const exact = xs.map(() => 0n)
  primes.forEach((prime, i) => {
    const rest = product / prime
    const words = heap.words(y + 4 * size * i, size)
    xs.forEach((x, k) => {
      const residue = (x * invert(rest, prime)) % prime
      words[k] = Number(residue)
      exact[k] += residue * rest
    })
  })
  kernels.exactQuotients(out, y, 4 * size, sources.length, conversion.exactTable, size)
  const found = [...heap.words(out, xs.length)]
  heap.free(y)
  heap.free(out)
  return { found, exact: exact.map((sum) => Number(sum / product)) }
}

/** Integers at distances of all magnitudes from both ends, and others. */
function integersNextToEnds(product: bigint, seed: number): bigint[] {
  const random = generator(seed)
  const xs = [0n, 1n, 2n, product - 1n, product - 2n, product / 2n, product / 2n + 1n]
  for (let distance = 1n; distance < product / 2n; distance *= 2n) {
    const jitter = (distance * BigInt(random(2 ** 30))) >> 30n
    xs.push(distance + jitter, product - distance - jitter)
  }
  for (let i = 0; i < 100; i++) {
    let x = 0n
    for (let word = 0; word < 9; word++) x = (x << 30n) + BigInt(random(2 ** 30))
    xs.push(x % product)
  }
  return xs
}

t.test('quotients are exact for every integer, from one source to eight, in any order', async () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 1, maxLength: 8 }),
      fc.nat(),
      (sources, seed) => {
        const product = productOf(sources.map((index) => moduli[index].prime))
        const xs = integersNextToEnds(product, seed)
        const { found, exact } = quotients(sources, xs)
        const wrong = found.findIndex((u, k) => u !== exact[k])
        if (wrong >= 0) throw new Error(`${xs[wrong]} of ${product}: ${found[wrong]}, not ${exact[wrong]}`)
      },
    ),
    { numRuns: 200, seed: 5 },
  )
})

t.test('positive control: single precision is wrong for these integers', async (t) => {
  const sources = [0, 1, 2]
  const conversion = new BaseConversion(heap, moduli, sources, false)
  const primes = sources.map((index) => moduli[index].prime)
  const product = productOf(primes)
  const xs = Array.from({ length: 64 }, (_, i) => product - 1n - BigInt(i))
  const y = heap.allocate(4 * 64 * 3)
  const out = heap.allocate(4 * 64)
  primes.forEach((prime, i) => {
    heap.words(y + 4 * 64 * i, 64).set(xs.map((x) => Number((x * invert(product / prime, prime)) % prime)))
  })
  kernels.quotients(out, y, 4 * 64, 3, conversion.reciprocals, 64)
  const { exact } = quotients(sources, xs)
  t.ok([...heap.words(out, 64)].some((u, k) => u !== exact[k]))
})

t.test('more sources than fit 64 bits are refused', async (t) => {
  t.equal(MOST_REFRESH_PRIMES, 8)
  const primes = nttPrimes(16384, Array(10).fill(30)).map(String)
  const many = await newSimdContext(
    checkParameters({ ring: 16384, primes: primes.slice(0, 9), specialPrimes: primes.slice(9) }),
  )
  const sources = Array.from({ length: 9 }, (_, i) => i)
  const conversion = new BaseConversion(many.heap, many.moduli, sources, true)
  t.throws(() => conversion.exactTable, { code: 'INTERNAL' })
})
