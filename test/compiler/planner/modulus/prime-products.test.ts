import t from 'tap'
import { isPrime } from '../../../../src/circuit/parameters/primes.ts'
import { highLevelBits } from '../../../../src/compiler/lowering/restoration/shape.ts'
import { primePairs } from '../../../../src/compiler/planner/modulus/prime-products.ts'

const SIZES = { least: 20, most: 30 }

for (const [ring, scaleBits] of [
  [32768, 46],
  [65536, 48],
] as const) {
  t.test(`ring ${ring}: the levels of three groups and a sine at 2^${scaleBits}`, async (t) => {
    const bits = highLevelBits(3, scaleBits)
    const pairs = primePairs(ring, bits, SIZES)!
    t.equal(pairs.length, bits.length)
    const all = pairs.flat()
    t.equal(new Set(all).size, all.length, 'no prime is taken twice')
    t.ok(all.every((prime) => isPrime(prime) && prime % BigInt(2 * ring) === 1n))
    t.ok(all.every((prime) => prime >= 2n ** 19n && prime < 2n ** 30n))
    pairs.forEach(([low, high], i) => {
      const error = Math.log2(Number(low * high)) - bits[i]
      t.ok(low < high && Math.abs(error) < 0.2, `level ${i} is off by ${error} bits`)
    })
  })
}

t.test('a ring with too few small primes has no pairs', async (t) => {
  t.equal(primePairs(65536, new Array(20).fill(42), SIZES), undefined)
})
