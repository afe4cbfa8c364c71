import t from 'tap'
import { EPHEMERAL_WEIGHT } from '../../src/circuit/parameters/ephemeral.ts'
import { beyondBoundBits, RAISE_FAILURE_BITS, raiseBound } from '../../src/circuit/raise.ts'

const TERMS = BigInt(EPHEMERAL_WEIGHT + 1)

const binomial = (n: bigint, k: bigint): bigint => {
  let value = 1n
  for (let i = 1n; i <= k; i++) value = (value * (n - k + i)) / i
  return value
}

/**
 * log2 of the chance that a sum of `TERMS` numbers, uniform between -1/2 and 1/2, exceeds a bound in absolute
 * value, in exact arithmetic: the distribution of Irwin and Hall.
 *
 * @param quarters the bound in quarters
 */
function exactTailBits(quarters: bigint): number {
  const rest = 2n * TERMS - quarters
  let sum = 0n
  let factorial = 1n
  for (let k = 0n; 4n * k < rest; k++) {
    sum += (k % 2n === 0n ? 1n : -1n) * binomial(TERMS, k) * (rest - 4n * k) ** TERMS
  }
  for (let k = 2n; k <= TERMS; k++) factorial *= k
  const bits = (value: bigint): number => {
    const shift = Math.max(0, value.toString(2).length - 53)
    return Math.log2(Number(value >> BigInt(shift))) + shift
  }
  return 1 + bits(sum) - bits(factorial) - 2 * Number(TERMS)
}

t.test('the chance of a coefficient beyond the bound is never more than stated', async (t) => {
  for (const bound of [2, 4, 8, 11, 12.25, 13.5, 15, 16]) {
    const exact = exactTailBits(BigInt(4 * bound))
    const stated = beyondBoundBits(bound)
    t.ok(stated >= exact - 1e-9, `${bound}: 2^${exact}, stated 2^${stated}`)
    if (bound > 12) t.ok(stated < exact + 1, `${bound}: the statement is near the truth`)
  }
  t.equal(beyondBoundBits(16.5), Number.NEGATIVE_INFINITY, 'no coefficient is larger')
})

t.test('the bound follows from the ring and the number of raised values', async (t) => {
  const bound = raiseBound(32768, 1024)
  t.equal(bound, 13.25)
  const chance = (of: number): number => Math.log2(32768 * 1024) + beyondBoundBits(of)
  t.ok(chance(bound) <= -RAISE_FAILURE_BITS && chance(bound - 1 / 4) > -RAISE_FAILURE_BITS)
  t.ok(raiseBound(65536, 1024) >= bound && raiseBound(32768, 1) < bound)
})
