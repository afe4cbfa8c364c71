import type { SecretKey } from 'node-seal'
import t from 'tap'
import { galoisElement, rotationElements } from '../../../../src/circuit/keys.ts'
import { type CkksParameters, digitCount, digitRange } from '../../../../src/circuit/parameters/parameters.ts'
import type { SealContext } from '../../../../src/he-ops/seal/context.ts'
import { generateKeySet, generateSecretKey, loadKeySet } from '../../../../src/he-ops/seal/keys/index.ts'
import { secretPolynomial } from '../../../../src/he-ops/seal/keys/secret.ts'
import { createKeyMaker } from '../../../../src/he-ops/seal/keys/switching.ts'
import { KernelKey } from '../../../../src/he-ops/simd/encryption/kernel-key.ts'
import { bytesSource, openKeySet, type Rlwe, verifyKeySet, writeKeySet } from '../../../../src/wire/index.ts'
import { sharedSealContext } from '../../../support/seal-contexts.ts'
import { collect } from '../../../wire/fixtures.ts'
import { automorphism, expanded, secretResidues, transforms } from '../exact.ts'
import { smallParameters } from '../fixture.ts'

// Keys are compared with their definition in exact arithmetic: c0 + c1 * s - P * g_j * s' must be the small
// error of an encryption, and the same modulo every prime.

const RING = 8192
const STEPS = [1, 4095]

const product = (factors: readonly bigint[]): bigint => factors.reduce((all, factor) => all * factor, 1n)

const chains: Record<string, CkksParameters> = {
  'one special prime of 60 bits': smallParameters([45, 60], 60),
  'two of 30 bits, the last digit short': smallParameters([30, 25, 24, 25, 25], 30, 30),
  'three of 30 bits, the last digit short': smallParameters([30, 25, 24, 25], 30, 30, 30),
  'more special primes than data primes': smallParameters([30, 29], 30, 30, 30),
}

const makers = {
  'node-seal': createKeyMaker,
  'the kernels': async (ctx: SealContext, secretKey: SecretKey) =>
    (await KernelKey.create(ctx.parameters, secretPolynomial(ctx, secretKey))).keyMaker(),
} as const

const cases = Object.entries(chains).flatMap(([chain, parameters]) =>
  Object.entries(makers).map(([name, createMaker]) => ({ chain, parameters, name, createMaker })),
)

for (const { chain, parameters, name, createMaker } of cases) {
  const fits = [...parameters.primes, ...parameters.specialPrimes].every((prime) => prime < 2n ** 30n)
  if (name === 'the kernels' && !fits) continue
  t.test(`${chain}, made by ${name}`, async (t) => {
    const ctx = await sharedSealContext(parameters)
    const secretKey = generateSecretKey(ctx)
    const maker = await createMaker(ctx, secretKey)
    const frame = await collect(writeKeySet(parameters, rotationElements(ctx.parameters, STEPS), maker))
    maker.delete()
    const reader = await openKeySet(parameters, bytesSource(frame))
    const all = [...parameters.primes, ...parameters.specialPrimes]
    const special = product(parameters.specialPrimes)
    const secrets = secretResidues(ctx, secretKey)
    const tools = all.map((prime) => transforms(RING, prime))
    const secret = tools[0].inverse(secrets(0))
    t.ok(
      secret.every((c) => c >= -1n && c <= 1n),
      'the secret is ternary',
    )

    /** Coefficients of c0 + c1 * s - P * g_j * s', one list for each prime. */
    const errors = (pair: Rlwe, digit: number, target: (i: number) => bigint[]): bigint[][] => {
      const { c0, c1 } = expanded(ctx, pair)
      const { start, end } = digitRange(parameters, digit)
      return all.map((prime, i) => {
        const s = secrets(i)
        const wanted = i >= start && i < end ? target(i).map((value) => (special % prime) * value) : undefined
        const values = s.map((value, b) => {
          const phase = c0[i * RING + b] + c1[i * RING + b] * value - (wanted?.[b] ?? 0n)
          return ((phase % prime) + prime) % prime
        })
        return tools[i].inverse(values)
      })
    }
    const distinct = new Set<string>()
    let made = 0
    const isKey = (pairs: readonly Rlwe[], target: (i: number) => bigint[], what: string): void => {
      t.equal(pairs.length, digitCount(parameters))
      pairs.forEach((pair, digit) => {
        const [first, ...others] = errors(pair, digit, target)
        distinct.add(first.join())
        made++
        const deviation = Math.sqrt(first.reduce((sum, e) => sum + Number(e * e), 0) / RING)
        t.ok(
          first.every((e) => e > -100n && e < 100n) && deviation > 3 && deviation < 3.5,
          `${what}: the error is small`,
        )
        t.ok(
          others.every((found) => found.every((e, k) => e === first[k])),
          `${what}: the error is the same modulo every prime`,
        )
      })
    }

    isKey(await reader.relinKey(), (i) => secrets(i).map((s) => s * s), 'relinearisation')
    for (const steps of STEPS) {
      const element = galoisElement(RING, steps)
      const rotated = automorphism(secret, element)
      isKey(await reader.galoisKey(element), (i) => tools[i].forward(rotated), `rotation by ${steps}`)
    }
    t.equal(made, 3 * digitCount(parameters))
    t.equal(distinct.size, made, 'every pair has its own error')
    t.ok(
      errors(await reader.publicKey(), parameters.primes.length, () => []).every((found) =>
        found.every((e) => e > -100n && e < 100n),
      ),
      'the public key encrypts zero',
    )
    secretKey.delete()
  })
}

t.test('key sets can be made for primes of any size; the kernels refuse large ones', async (t) => {
  const small = chains['two of 30 bits, the last digit short']
  const large = chains['one special prime of 60 bits']
  const secret = new Uint32Array(2 * RING * (large.primes.length + 1)).fill(1)
  await t.rejects(KernelKey.create(large, secret), { code: 'CONFIG_INVALID' })
  for (const parameters of [small, large]) {
    const ctx = await sharedSealContext(parameters)
    const secretKey = generateSecretKey(ctx)
    const frame = await collect(generateKeySet(ctx, secretKey, rotationElements(ctx.parameters, STEPS)))
    await t.resolves(verifyKeySet(parameters, bytesSource(frame)))
    secretKey.delete()
  }
})

t.test('keys that SEAL cannot use are not passed to it', async (t) => {
  const ctx = await sharedSealContext(chains['two of 30 bits, the last digit short'])
  const secretKey = generateSecretKey(ctx)
  const frame = await collect(generateKeySet(ctx, secretKey, []))
  await t.rejects(loadKeySet(ctx, bytesSource(frame), []), { code: 'CONFIG_INVALID' })
  secretKey.delete()
})
