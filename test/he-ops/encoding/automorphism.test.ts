import t from 'tap'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { automorphismOrder } from '../../../src/he-ops/encoding/automorphism.ts'
import { createNtt, forwardNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'

const RING = 16
const [prime] = nttPrimes(RING, [30])
const ntt = createNtt(RING, minimalRoot(RING, prime), prime)
const transformed = (coefficients: readonly bigint[]): bigint[] => {
  const values = [...coefficients]
  forwardNtt(ntt, values)
  return values
}

/** sigma_g(a) = a(X^g) modulo X^N + 1, coefficient by coefficient. */
function automorphism(coefficients: readonly bigint[], element: number): bigint[] {
  const result = coefficients.map(() => 0n)
  coefficients.forEach((coefficient, i) => {
    const power = (i * element) % (2 * RING)
    result[power % RING] = power < RING ? coefficient : (prime - coefficient) % prime
  })
  return result
}

t.test('in NTT form every automorphism is a permutation', async (t) => {
  const a = Array.from({ length: RING }, (_, i) => BigInt(i * i * 977 + 5) % prime)
  const values = transformed(a)
  for (let element = 1; element < 2 * RING; element += 2) {
    const order = automorphismOrder(RING, element)
    const reordered = Array.from(order, (b) => values[b])
    t.strictSame(reordered, transformed(automorphism(a, element)), `X -> X^${element}`)
  }
})

t.test('orders are permutations, also of the largest ring', async (t) => {
  for (const ring of [8192, 65536]) {
    const order = automorphismOrder(ring, 2 * ring - 1)
    t.equal(new Set(order).size, ring)
    t.ok(order.every((b) => b < ring))
    t.ok(automorphismOrder(ring, 1).every((from, b) => from === b))
  }
})
