import t from 'tap'
import { galoisElement } from '../../../src/circuit/keys.ts'
import { digitCount, digitRange } from '../../../src/circuit/parameters/parameters.ts'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { coefficientDeviation, keySwitchingNoise } from '../../../src/he-ops/noise.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { generateSecretKey } from '../../../src/he-ops/seal/keys/index.ts'
import { createKeyMaker } from '../../../src/he-ops/seal/keys/switching.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { automorphism, centred, expanded, mod, secretResidues, transforms } from './exact.ts'
import { smallParameters } from './fixture.ts'

// Hybrid key switching in bigint arithmetic with client keys, compared with the noise formula.

const parameters = smallParameters([30, 30, 29, 28, 26], 30, 30)
const { ring, primes, specialPrimes } = parameters
const ctx = createSealContext(await loadSeal(), parameters)
const secretKey = generateSecretKey(ctx)
const maker = createKeyMaker(ctx, secretKey)
const element = galoisElement(ring, 3)
const key = maker.galoisKey(element).map((pair) => expanded(ctx, pair))
const secrets = secretResidues(ctx, secretKey)
for (const object of [maker, secretKey, ctx]) object.delete()

const product = (factors: readonly bigint[]): bigint => factors.reduce((all, factor) => all * factor, 1n)
const special = product(specialPrimes)
/** Modulo q_0 and the special primes, which suffice for a small error. */
const moduli = [0, primes.length, primes.length + 1].map((index) => {
  const prime = [...primes, ...specialPrimes][index]
  return { index, prime, ...transforms(ring, prime) }
})
const [base, ...specials] = moduli

/** The integers of least absolute value with these residues, list by list. */
function toIntegers(residues: readonly (readonly bigint[])[], of: readonly bigint[]): bigint[] {
  const all = product(of)
  const parts = of.map((prime) => {
    const others = all / prime
    return others * powMod(others % prime, prime - 2n, prime)
  })
  return residues[0].map((_, k) =>
    centred(
      residues.reduce((sum, list, i) => sum + list[k] * parts[i], 0n),
      all,
    ),
  )
}

/** Round(x / P) modulo q_0 for one polynomial of the sum, given modulo q_0 and the special primes. */
function divided(sums: readonly bigint[][]): bigint[] {
  const [values, ...rest] = sums.map((sum, i) => moduli[i].inverse([...sum]))
  const remainders = toIntegers(rest, specialPrimes)
  const inverse = powMod(special % base.prime, base.prime - 2n, base.prime)
  return values.map((value, k) => mod((value - remainders[k]) * inverse, base.prime))
}

/** u0 + u1 * s - a * sigma(s) for a polynomial `a` of random coefficients at a level, switched by the key. */
function switchingError(level: number): number[] {
  const a = primes.slice(0, level + 1).map((prime) => randomResidues(prime))
  const digits = Array.from({ length: digitCount(parameters, level) }, (_, j) => {
    const { start, end } = digitRange(parameters, j, level)
    return toIntegers(a.slice(start, end), primes.slice(start, end))
  })
  const [u0, u1] = (['c0', 'c1'] as const).map((half) =>
    divided(
      moduli.map(({ index, prime, forward }) => {
        const sum = new Array<bigint>(ring).fill(0n)
        digits.forEach((digit, j) => {
          forward(digit).forEach((value, b) => {
            sum[b] = (sum[b] + value * key[j][half][index * ring + b]) % prime
          })
        })
        return sum
      }),
    ),
  )
  const s = secrets(0)
  const rotated = base.forward(automorphism(base.inverse([...s]), element))
  const [f0, f1, fa] = [u0, u1, a[0]].map(base.forward)
  return base.inverse(f0.map((v, b) => mod(v + f1[b] * s[b] - fa[b] * rotated[b], base.prime))).map(Number)
}

function randomResidues(prime: bigint): bigint[] {
  return Array.from({ length: ring }, () => {
    const high = BigInt(Math.floor(Math.random() * 2 ** 30))
    return (high * 2n ** 30n + BigInt(Math.floor(Math.random() * 2 ** 30))) % prime
  })
}

for (const level of [4, 3, 1, 0]) {
  t.test(`the noise of hybrid key switching at level ${level} agrees with the formula`, async (t) => {
    const errors = switchingError(level)
    const deviation = Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / ring)
    const expected = coefficientDeviation(parameters, keySwitchingNoise(parameters, level))
    t.ok(Math.abs(deviation / expected - 1) < 0.06, `measured ${deviation}, formula ${expected}`)
  })
}

t.test('a key that is off by one in one residue is detected', async (t) => {
  const [first] = specials
  const other = key.map(({ c0, c1 }) => ({ c0: c0.slice(), c1 }))
  key[0].c0[first.index * ring]++
  const errors = switchingError(3)
  key[0].c0.set(other[0].c0)
  t.ok(Math.max(...errors.map(Math.abs)) > 1e5)
})
