import t from 'tap'
import { floodingBound } from '../../src/circuit/flooding-bound.ts'
import {
  FLOODING_KEY_BYTES,
  floodingFor,
  floodingKeysOf,
  newFloodingKey,
  newFloodingKeys,
} from '../../src/he-ops/flooding.ts'
import { uniformResidues } from '../../src/he-ops/random.ts'

const keys = newFloodingKeys()
const digest = (seed: number) => Uint8Array.from({ length: 32 }, (_, i) => i * 7 + seed)
const difference = (a: Float64Array, b: Float64Array) => a.map((value, k) => value - b[k])
/** Root mean square, relative to that of uniform integers within the bound. */
const deviation = (values: Float64Array, bound: number): number =>
  Math.sqrt(values.reduce((all, value) => all + value * value, 0) / values.length) / (bound / Math.sqrt(3))

t.test('a run has reproducible noise, which differs for another query, reply or server', async (t) => {
  const draw = (of: typeof keys, query: number, ...replies: number[]) =>
    floodingFor(of, digest(query), replies.map(digest))(64, 2 ** 40)
  t.same(draw(keys, 1, 5, 6), draw(keys, 1, 5, 6))
  const others = [
    draw(keys, 2, 5, 6),
    draw(keys, 1, 5, 7),
    draw(keys, 1, 5),
    draw(newFloodingKeys(), 1, 5, 6),
  ]
  for (const other of others) {
    t.ok(
      other.every((value, k) => value !== draw(keys, 1, 5, 6)[k]),
      'no value is the same',
    )
  }
})

t.test('flooding keys are derived from the key of the server, the circuit and the key set', async (t) => {
  const server = newFloodingKey()
  const derived = floodingKeysOf(server, digest(1), digest(2))
  t.same(floodingKeysOf(server, digest(1), digest(2)), derived)
  const otherKeys = floodingKeysOf(server, digest(1), digest(3))
  t.same(
    otherKeys.query,
    derived.query,
    'the key of the query does not depend on the key set, so repeating a query under others does not average its part',
  )
  t.notSame(otherKeys.run, derived.run)
  const otherCircuit = floodingKeysOf(server, digest(3), digest(2))
  t.notSame(otherCircuit.query, derived.query)
  t.notSame(otherCircuit.run, derived.run)
  t.notSame(floodingKeysOf(newFloodingKey(), digest(1), digest(2)), derived)
  t.notSame(derived.query, derived.run)
  for (const key of Object.values(derived)) t.equal(key.length, FLOODING_KEY_BYTES)
  t.throws(() => floodingKeysOf(new Uint8Array(16), digest(1), digest(2)), { code: 'INTERNAL' })
})

t.test(
  'averaging repeated runs of a query leaves half of the variance; averaging new encryptions leaves none',
  async (t) => {
    const bound = 1000
    const mean = (
      runs: number,
      queryOf: (run: number) => number,
      replyOf: (run: number) => number,
    ): number => {
      const sums = new Float64Array(512)
      for (let run = 0; run < runs; run++) {
        floodingFor(keys, digest(queryOf(run)), [digest(replyOf(run))])(512, bound).forEach((value, k) => {
          sums[k] += value / runs
        })
      }
      return deviation(sums, bound)
    }
    const same = () => 5
    const other = (run: number) => run
    t.ok(Math.abs(mean(100, same, same) - 1) < 0.15, 'the same run')
    t.ok(Math.abs(mean(100, same, other) - Math.SQRT1_2) < 0.1, 'the same query with other replies to rounds')
    t.ok(Math.abs(mean(100, other, other) - 0.1) < 0.02, 'new encryptions of the image')
  },
)

t.test('the difference of two runs of a query contains noise', async (t) => {
  const [a, b] = [1, 2].map((reply) => floodingFor(keys, digest(5), [digest(reply)])(4096, 1000))
  t.ok(Math.abs(deviation(difference(a, b), 1000) - 1) < 0.1)
})

t.test('both parts are uniform; their sum has the variance of uniform integers from -B to B', async (t) => {
  const bound = 2 ** 20
  const values = floodingFor(keys, digest(9))(70_000, bound)
  t.ok(Math.abs(deviation(values, bound) - 1) < 0.01)
  t.ok(Math.abs(values.reduce((sum, value) => sum + value, 0) / 70_000) < 0.015 * bound)
  t.ok(values.every((value) => Number.isInteger(value) && Math.abs(value) <= Math.SQRT2 * bound + 1))
  // The sum of two uniform parts has a triangular distribution, with a quarter of its mass beyond half of its
  // range.
  const far = values.filter((value) => Math.abs(value) > bound * Math.SQRT1_2).length
  t.ok(Math.abs(far / 70_000 - 1 / 4) < 0.01, `${far}`)
  t.same(floodingFor(keys, digest(9))(4, 0), new Float64Array(4))
})

t.test('the bound gives logits the deviation that the plan states', async (t) => {
  const output = { level: 0, scale: 2 ** 26, flooding: 0.01 }
  const bound = floodingBound({ primes: [2n ** 40n + 1n] }, output, { stride: 256, count: 32 })
  const draw = floodingFor(keys, digest(3))
  // Logit 0 is the value of the polynomial at a root of unity, here the real parts for 32 coefficients.
  const logits = Array.from({ length: 400 }, (_, i) => {
    const integers = floodingFor(keys, digest(1000 + i))(32, bound)
    return integers.reduce((sum, value, k) => sum + value * Math.cos((Math.PI * k) / 32), 0) / output.scale
  })
  const rms = Math.sqrt(logits.reduce((sum, value) => sum + value * value, 0) / logits.length)
  t.ok(Math.abs(rms / output.flooding - 1) < 0.2, `${rms}`)
  t.ok(draw(32, bound).some((value) => Math.abs(value) > bound / 2))
  t.throws(() => floodingBound({ primes: [97n] }, output, { stride: 256, count: 32 }), {
    code: 'LEVEL_EXHAUSTED',
  })
})

t.test('uniform residues use exactly the words below the largest multiple of the modulus', async (t) => {
  const below = 2n ** 62n + 5n
  const given = [2n ** 64n - 1n, 3n * below - 1n, 3n * below, 7n, 8n, 9n]
  let next = 0
  const source = (words: Uint32Array<ArrayBuffer>) => {
    new BigUint64Array(words.buffer).forEach((_, i, all) => {
      all[i] = given[next++]
    })
  }
  t.strictSame([...uniformResidues(3, below, source)], [7n, below - 1n, 8n])
  // This needs more bytes than one call of the platform's generator returns.
  const many = uniformResidues(40_000, 2n ** 40n)
  t.ok(many.subarray(-100).some((value) => value > 2n ** 32n))
})
