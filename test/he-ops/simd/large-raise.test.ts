import t from 'tap'
import { wholeKeys } from '../../../src/circuit/keys.ts'
import { log2Modulus } from '../../../src/circuit/laws.ts'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { createClientKey, sampleSecretKey } from '../../../src/he-ops/client/create.ts'
import { coefficientDeviation, raisingNoise } from '../../../src/he-ops/noise.ts'
import { SimdKeySet } from '../../../src/he-ops/simd/keys/key-set.ts'
import { ThreadPool } from '../../../src/he-ops/simd/threads/thread-pool.ts'
import { bytesSource, openKeySet, type PackedRlwe } from '../../../src/wire/index.ts'
import { areSmall, deviation } from '../../conformance/raise.ts'
import { phaseOf, takeApart } from '../../support/exact-raise.ts'
import { createSimdEvaluator } from '../../support/simd-evaluator.ts'
import { isThorough } from '../../support/thorough.ts'
import { collect } from '../../wire/fixtures.ts'
import { mod, residuesOf, transforms } from '../seal/exact.ts'
import { newSimdContext } from './fixture.ts'

// Parameters as bootstrapping has them: 28 data primes and 4 special ones. The gate checks the security of
// the ephemeral secret.

const RING = 32768
const LEVEL = 1
const SCALE = 2 ** 40
const found = nttPrimes(RING, [...Array(4).fill(30), 28, 28, ...Array(13).fill(27), ...Array(13).fill(26)])
const parameters = checkParameters({
  ring: RING,
  primes: found.slice(4).map(String),
  specialPrimes: found.slice(0, 4).map(String),
  raiseLevel: LEVEL,
})
const { primes, slots, topLevel } = parameters
/** Primes whose product exceeds all raised coefficients. */
const ENOUGH = 3

t.test('a raise in ring 32768', async (t) => {
  const secret = await sampleSecretKey(parameters)
  const secrets = residuesOf(parameters, secret)
  const key = await createClientKey(parameters, secret.slice(), '')
  const frame = await collect(key.keySet([]))
  const context = await newSimdContext(parameters)
  const pool = await ThreadPool.create(context.heap.memory, context.kernels, 2)
  t.teardown(() => {
    key.delete()
    return pool.close()
  })
  const keys = new SimdKeySet(context)
  await keys.load(await openKeySet(parameters, bytesSource(frame)), wholeKeys(parameters, []), pool)
  const evaluator = createSimdEvaluator(context, keys, { constants: [] })
  const values = Float64Array.from({ length: slots }, (_, s) => Math.sin(s * s))
  const [pair] = await key.encryptSlots([values], LEVEL, SCALE)
  const low = evaluator.load(pair as PackedRlwe, LEVEL, SCALE)
  const raised = evaluator.raise(low)
  const residues = evaluator.residues(raised)
  const modulus = primes[0] * primes[1]
  const before = phaseOf(parameters, evaluator.residues(low), secrets, LEVEL + 1)
  const after = phaseOf(parameters, residues, secrets, ENOUGH)
  const { multiples, noise } = takeApart(before, after, modulus)
  t.ok(areSmall(multiples))
  const spread = deviation(multiples)
  t.ok(Math.abs(spread / Math.sqrt(33 / 12) - 1) < 0.03, `multiples have deviation ${spread}`)
  const size = deviation(noise)
  const expected = coefficientDeviation(parameters, raisingNoise(parameters, LEVEL))
  t.ok(Math.abs(size / expected - 1) < 0.1, `noise has deviation ${size}, by the formula ${expected}`)
  t.ok(Math.max(...noise.map(Math.abs)) < 8 * size)
  t.ok(log2Modulus(parameters, LEVEL) < 58)

  // Modulo all other primes it is the same integer. All of them take seconds.
  const others = primes.map((_, i) => i).slice(ENOUGH)
  for (const i of isThorough ? others : [topLevel]) {
    const wanted = transforms(RING, primes[i]).forward(after)
    const [c0, c1] = residues.map((polynomial) => polynomial.subarray(i * RING, (i + 1) * RING))
    const isSame = secrets(i).every((s, b) => mod(BigInt(c0[b]) + BigInt(c1[b]) * s, primes[i]) === wanted[b])
    t.ok(isSame, `prime ${i}`)
  }
})
