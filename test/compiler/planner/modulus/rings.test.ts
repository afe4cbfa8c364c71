import t from 'tap'
import { checkParameters, LARGEST_RING } from '../../../../src/circuit/parameters/parameters.ts'
import { REFRESH_CHOICES } from '../../../../src/compiler/choices.ts'
import { PrimePool } from '../../../../src/compiler/planner/modulus/primes.ts'
import { usualRings } from '../../../../src/compiler/planner/modulus/rings.ts'

t.test('plans consider ring 65536 on their own only where the server restores levels', async (t) => {
  for (const refresh of REFRESH_CHOICES) {
    const expected = refresh === 'server' ? [32768, 65536] : [8192, 16384, 32768]
    t.strictSame(usualRings(refresh), expected, refresh)
  }
})

t.test(
  'the smallest primes of the largest ring fill its modulus with fewer primes than parameters may have',
  async (t) => {
    const pool = new PrimePool(LARGEST_RING)
    const primes: string[] = []
    for (let bits = 20; bits <= 30; bits++) {
      for (
        let prime = pool.take(bits);
        prime !== undefined && bitsOf([...primes, prime]) < 1747;
        prime = pool.take(bits)
      ) {
        primes.push(String(prime))
      }
    }
    t.ok(primes.length > 64)
    const checked = checkParameters({
      ring: LARGEST_RING,
      primes: primes.slice(1),
      specialPrimes: primes.slice(0, 1),
    })
    t.ok(checked.logQP > 1747 - 30, 'no other prime fits')
  },
)

const bitsOf = (primes: readonly (string | bigint)[]): number =>
  primes.reduce((sum, prime) => sum + Math.log2(Number(prime)), 0)
