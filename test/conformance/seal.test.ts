import type { Ciphertext } from 'node-seal'
import t from 'tap'
import { decryptSlots } from '../../src/he-ops/seal/encryptor.ts'
import { createSealEvaluator } from '../../src/he-ops/seal/evaluator.ts'
import { ciphertextFromWire, ciphertextToWire } from '../../src/he-ops/seal/serialization/ciphertexts.ts'
import { sealFixture, smallParameters } from '../he-ops/seal/fixture.ts'
import { simdFixture } from '../he-ops/simd/fixture.ts'
import { raising } from '../support/raising.ts'
import { raiseConformance } from './raise.ts'
import { conformance, parameters, SCALE, STEPS } from './suite.ts'

const fixture = await sealFixture(parameters, STEPS)
/** Keys of an ephemeral secret are made by the kernels, which take primes of 30 bits. */
const raisingFixture = await simdFixture(raising(smallParameters([30, 30, 30, 30], 30), 0), [])
const live = countCiphertexts()
t.teardown(() => {
  fixture.delete()
  raisingFixture.delete()
})

t.test('the number of live ciphertexts follows makes and frees', async (t) => {
  const ciphertext = fixture.encrypt(Float64Array.of(1, -2), 2 ** 30, 1)
  t.equal(live.count(), 1)
  ciphertext.delete()
  t.equal(live.count(), 0)
})

conformance<Ciphertext>({
  name: 'seal',
  parameters,
  scale: SCALE,
  // The evaluator's own scratch ciphertexts do not count.
  evaluator: (constants) =>
    live.uncounted(() => createSealEvaluator(fixture.ctx, fixture.keys, { constants })),
  encrypt: (_, slots, level, scale) => fixture.encrypt(slots, scale, level),
  decrypt: (_, ciphertext) => fixture.decryptComplex(ciphertext),
  live: () => live.count(),
  tolerance: 2e-5,
  needsKeys: true,
})

raiseConformance<Ciphertext>({
  name: 'seal',
  parameters: raisingFixture.ctx.parameters,
  scale: 2 ** 26,
  evaluator: (constants) =>
    live.uncounted(() => createSealEvaluator(raisingFixture.ctx, raisingFixture.sealKeys, { constants })),
  encrypt: (_, slots, level, scale) =>
    ciphertextFromWire(raisingFixture.ctx, raisingFixture.encrypt(slots, level, scale), level, scale),
  decrypt(_, a) {
    const { ctx, secretKey } = raisingFixture
    const pair = ciphertextToWire(ctx, a)
    return decryptSlots(ctx, secretKey, [pair], a.coeffModulusSize() - 1, a.scale())[0]
  },
  live: () => live.count(),
  tolerance: 1e-1,
  needsKeys: true,
})

/** Counts node-seal's ciphertexts: those that the module's constructor made, minus the deleted ones. */
function countCiphertexts() {
  const { seal } = fixture.ctx
  const original = seal.Ciphertext
  let made: Ciphertext[] = []
  const counting = new Proxy(original, {
    construct(target, args: unknown[]): Ciphertext {
      const ciphertext: Ciphertext = Reflect.construct(target, args)
      made.push(ciphertext)
      return ciphertext
    },
  })
  Object.assign(seal, { Ciphertext: counting })
  t.teardown(() => Object.assign(seal, { Ciphertext: original }))
  return {
    count: () => made.filter((ciphertext) => !ciphertext.isDeleted()).length,
    uncounted<T>(make: () => T): T {
      const before = [...made]
      const result = make()
      made = before
      return result
    },
  }
}
