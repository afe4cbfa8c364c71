import t from 'tap'
import { type CkksParameters, checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../src/he-ops/seal/encryptor.ts'
import { generateSecretKey } from '../../../src/he-ops/seal/keys/index.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys/secret.ts'
import { RestrictedContexts } from '../../../src/he-ops/seal/restricted-contexts.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { keyLevel, plaintextToSeal } from '../../../src/he-ops/seal/serialization/serialization.ts'
import { polynomialHalves } from '../../../src/wire/index.ts'
import { smallParameters } from './fixture.ts'

const seal = await loadSeal()
const SCALE = 2 ** 20
/** A vector with another value in every slot. */
const slots = Float64Array.from({ length: 4096 }, (_, i) => Math.sin(i + 1) + i / 4096)
const close = (found: Float64Array): boolean =>
  found.every((value, slot) => Math.abs(value - slots[slot]) < 2 ** -6)

const chains: Record<string, CkksParameters> = {
  'one special prime': smallParameters([40, 30, 30, 30], 60),
  'three of them': smallParameters([30, 29, 28, 25], 30, 30, 30),
}

for (const [name, parameters] of Object.entries(chains)) {
  t.test(`restricted contexts read keys and ciphertexts of the whole chain: ${name}`, async (t) => {
    const whole = createSealContext(seal, parameters)
    const secretKey = generateSecretKey(whole)
    const secret = secretPolynomial(whole, secretKey)
    const contexts = new RestrictedContexts(seal, parameters)
    const all = [...parameters.primes, ...parameters.specialPrimes]
    for (const level of [0, 1, parameters.topLevel]) {
      const ctx = contexts.at(level)
      t.equal(contexts.at(level), ctx, 'the context is made once')
      t.equal(ctx.highestLevel, level)
      t.strictSame(keyLevel(ctx).primes, all.slice(0, level + 2))
      t.strictSame(
        ctx.levelIds.map((_, l) => l).filter((l) => ctx.levelIds[l]),
        [level],
        'the context has no other level',
      )
      t.same(ctx.levelIdBytes[level], whole.levelIdBytes[level], 'the context is SEAL’s own')
      const restrictedKey = new seal.SecretKey()
      const low = secret.subarray(0, polynomialHalves(keyLevel(ctx)))
      restrictedKey.loadFromArray(ctx.context, plaintextToSeal(keyLevel(ctx), low, 1))
      const here = encryptSlots(ctx, restrictedKey, [slots], level, SCALE)
      t.ok(close(decryptSlots(whole, secretKey, here, level, SCALE)[0].real), `encrypted at level ${level}`)
      const there = encryptSlots(whole, secretKey, [slots], level, SCALE)
      t.ok(
        close(decryptSlots(ctx, restrictedKey, there, level, SCALE)[0].real),
        `decrypted at level ${level}`,
      )
      restrictedKey.delete()
    }
    contexts.delete()
    secretKey.delete()
    whole.delete()
  })
}

t.test('a context of only the highest level makes keys', async (t) => {
  const primes = nttPrimes(8192, [30, 30, 30, 30, 30]).map(String)
  const parameters = checkParameters({
    ring: 8192,
    primes: primes.slice(0, 3),
    specialPrimes: primes.slice(3),
  })
  const ctx = createSealContext(seal, parameters, 'highest level')
  const whole = createSealContext(seal, parameters)
  t.equal(ctx.highestLevel, whole.highestLevel)
  t.same(ctx.keyIdBytes, whole.keyIdBytes)
  t.equal(ctx.levelIds.length, 0, 'SEAL’s highest level is above the chain’s')
  const secretKey = generateSecretKey(ctx)
  t.equal(secretPolynomial(ctx, secretKey).length, 2 * 8192 * 5)
  for (const object of [secretKey, ctx, whole]) object.delete()
})
