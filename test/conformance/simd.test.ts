import t from 'tap'
import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import { embedPeriodicFast } from '../../src/he-ops/encoding/embedding-fft.ts'
import { type SimdFixture, simdFixture } from '../he-ops/simd/fixture.ts'
import { raising } from '../support/raising.ts'
import { createSimdEvaluator, type SimdCiphertext, type SimdEvaluator } from '../support/simd-evaluator.ts'
import { areSmall, compareRaised, raiseConformance } from './raise.ts'
import { type Backend, conformance, STEPS } from './suite.ts'

// One special prime, with digits as in SEAL; and two special primes, with digits of two primes, where the
// last level's last digit is short. Tolerances are some three times the largest errors of usual keys, and far
// below the values.
const cases = [
  { name: 'simd, one special prime', parameters: parametersOf([30, 30, 30, 30], [30]), tolerance: 1e-1 },
  {
    name: 'simd, digits of two primes',
    parameters: parametersOf([30, 30, 30, 30, 30], [30, 30]),
    tolerance: 5e-3,
  },
]
const fixtures: SimdFixture[] = []
for (const { parameters } of cases) {
  fixtures.push(await simdFixture(parameters, STEPS, { conjugation: true }))
}
t.teardown(() => {
  for (const fixture of fixtures) fixture.delete()
})

for (const [i, { name, parameters, tolerance }] of cases.entries()) {
  const fixture = fixtures[i]
  const backend: Backend<SimdCiphertext> = {
    name,
    parameters,
    scale: 2 ** 26,
    evaluator: (constants) => createSimdEvaluator(fixture.context, fixture.keys, { constants }),
    encrypt(evaluator, slots, level, scale) {
      const packed = fixture.packed(fixture.encrypt(slots, level, scale), level)
      return (evaluator as SimdEvaluator).load(packed, level, scale)
    },
    decrypt: (evaluator, a) =>
      fixture.decryptComplex((evaluator as SimdEvaluator).residues(a), a.level, a.scale),
    live: (evaluator) => (evaluator as SimdEvaluator).live,
    tolerance,
    needsKeys: true,
  }
  conformance(backend)
  raiseConformance(backend)

  t.test(`${name}: keys of another client are noticed, and missing ones`, async (t) => {
    const other = await simdFixture(parameters, [])
    t.teardown(() => other.delete())
    const values = Float64Array.from({ length: parameters.slots }, (_, s) => Math.sin(s))
    const packed = fixture.packed(fixture.encrypt(values, 0, 2 ** 26), 0)
    const evaluator = createSimdEvaluator(other.context, other.keys, { constants: [] })
    const raised = evaluator.raise(evaluator.load(packed, 0, 2 ** 26))
    const found = fixture.decryptComplex(evaluator.residues(raised), raised.level, raised.scale)
    const modulus = Number(parameters.primes[0]) / 2 ** 26
    const { multiples } = compareRaised(embedPeriodicFast(values), embedPeriodicFast(found), modulus)
    t.notOk(areSmall(multiples))

    const keyless = createSimdEvaluator(fixture.context, undefined, { constants: [] })
    const a = keyless.load(packed, 0, 2 ** 26)
    t.throws(() => keyless.raise(a), { code: 'KEYS_MISSING' })
    t.equal(keyless.live, 1)
  })
}

function parametersOf(data: readonly number[], special: readonly number[]): CkksParameters {
  const primes = nttPrimes(8192, [...data, ...special]).map(String)
  const checked = checkParameters({
    ring: 8192,
    primes: primes.slice(0, data.length),
    specialPrimes: primes.slice(data.length),
  })
  return raising(checked, 0)
}
