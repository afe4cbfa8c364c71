import t from 'tap'
import { FLOODING_KEY_BYTES, floodingBound, floodingFor, newFloodingKey } from '../../src/he-ops/flooding.ts'
import { uniformResidues } from '../../src/he-ops/random.ts'

const key = newFloodingKey()
const digest = (seed: number) => Uint8Array.from({ length: 32 }, (_, i) => i * 7 + seed)

t.test('one query gets the same noise again, and another query or server another', async (t) => {
  const count = 64
  const bound = 2 ** 40
  const draw = (of: Uint8Array, query: number) => floodingFor(of, digest(query))(count, bound)
  t.same(draw(key, 1), draw(key, 1))
  const others = [draw(key, 2), draw(newFloodingKey(), 1)]
  for (const other of others) {
    t.ok(
      other.every((value, k) => value !== draw(key, 1)[k]),
      'no number is shared',
    )
  }
  t.throws(() => floodingFor(new Uint8Array(16), digest(1)), { code: 'INTERNAL' })
  t.equal(newFloodingKey().length, FLOODING_KEY_BYTES)
})

t.test('an average over repetitions of a query removes no noise; one over fresh queries does', async (t) => {
  const bound = 1000
  const deviation = (runs: number, queryOf: (run: number) => number): number => {
    const sums = new Float64Array(512)
    for (let run = 0; run < runs; run++) {
      floodingFor(key, digest(queryOf(run)))(512, bound).forEach((value, k) => {
        sums[k] += value / runs
      })
    }
    return Math.sqrt(sums.reduce((all, value) => all + value * value, 0) / 512) / (bound / Math.sqrt(3))
  }
  t.ok(Math.abs(deviation(100, () => 5) - 1) < 0.15)
  t.ok(Math.abs(deviation(100, (run) => run) - 0.1) < 0.02)
})

t.test('integers are uniform from -B to B', async (t) => {
  const bound = 3
  const cells = new Array<number>(7).fill(0)
  for (const value of floodingFor(key, digest(9))(70_000, bound)) cells[value + bound]++
  for (const cell of cells) t.ok(Math.abs(cell - 10_000) < 600, `${cell}`)
  t.same(floodingFor(key, digest(9))(4, 0), new Float64Array(4))
})

t.test('the bound gives a logit the deviation that the plan states', async (t) => {
  const output = { level: 0, scale: 2 ** 26, flooding: 0.01 }
  const bound = floodingBound({ primes: [2n ** 40n + 1n] }, output, { stride: 256, count: 32 })
  const draw = floodingFor(key, digest(3))
  // Logit 0 is the polynomial's value at a root of unity, of which the real parts of 32 coefficients count.
  const logits = Array.from({ length: 400 }, (_, i) => {
    const integers = floodingFor(key, digest(1000 + i))(32, bound)
    return integers.reduce((sum, value, k) => sum + value * Math.cos((Math.PI * k) / 32), 0) / output.scale
  })
  const rms = Math.sqrt(logits.reduce((sum, value) => sum + value * value, 0) / logits.length)
  t.ok(Math.abs(rms / output.flooding - 1) < 0.2, `${rms}`)
  t.ok(draw(32, bound).some((value) => Math.abs(value) > bound / 2))
  t.throws(() => floodingBound({ primes: [97n] }, output, { stride: 256, count: 32 }), {
    code: 'LEVEL_EXHAUSTED',
  })
})

t.test('residues: every word below the largest multiple of the modulus, and no other', async (t) => {
  const below = 2n ** 62n + 5n
  const given = [2n ** 64n - 1n, 3n * below - 1n, 3n * below, 7n, 8n, 9n]
  let next = 0
  const source = (words: Uint32Array<ArrayBuffer>) => {
    new BigUint64Array(words.buffer).forEach((_, i, all) => {
      all[i] = given[next++]
    })
  }
  t.strictSame([...uniformResidues(3, below, source)], [7n, below - 1n, 8n])
  // More bytes than one call of the platform's generator gives.
  const many = uniformResidues(40_000, 2n ** 40n)
  t.ok(many.subarray(-100).some((value) => value > 2n ** 32n))
})
