import t from 'tap'
import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import { simdFixture } from '../he-ops/simd/fixture.ts'
import { createSimdEvaluator, type SimdCiphertext, type SimdEvaluator } from '../support/simd-evaluator.ts'
import { conformance, STEPS } from './suite.ts'

// One special prime, with digits as in SEAL; and two special primes, with digits of two primes, where the
// last level's last digit is short. Tolerances are some three times the largest errors of usual keys, and far
// below the values.
for (const [name, data, special, tolerance] of [
  ['simd, one special prime', [30, 30, 30, 30], [30], 1e-1],
  ['simd, digits of two primes', [30, 30, 30, 30, 30], [30, 30], 5e-3],
] as const) {
  const parameters = parametersOf(data, special)
  const fixture = await simdFixture(parameters, STEPS, { conjugation: true })
  t.teardown(() => fixture.delete())
  conformance<SimdCiphertext>({
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
  })
}

function parametersOf(data: readonly number[], special: readonly number[]): CkksParameters {
  const primes = nttPrimes(8192, [...data, ...special]).map(String)
  return checkParameters({
    ring: 8192,
    primes: primes.slice(0, data.length),
    specialPrimes: primes.slice(data.length),
  })
}
