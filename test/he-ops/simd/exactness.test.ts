import type { Ciphertext } from 'node-seal'
import t from 'tap'
import { createSealEvaluator } from '../../../src/he-ops/seal/evaluator.ts'
import { ciphertextFromWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { createSimdEvaluator, type SimdCiphertext } from '../../support/simd-evaluator.ts'
import { residuesOf, smallParameters } from '../seal/fixture.ts'
import { halves, simdFixture } from './fixture.ts'

// With one special prime the simd engine's parts compute the same residues as node-seal, from the same keys
// and ciphertexts. Primes differ in size, so that residues of one are out of range for another.
const parameters = smallParameters([30, 29, 27, 30, 28], 30)
const { slots, topLevel, ring } = parameters
const STEPS = [1, 3, 500, slots - 1]
const SCALE = 2 ** 28

const fixture = await simdFixture(parameters, STEPS)
t.teardown(() => fixture.delete())

const constants = [
  Float64Array.of(0.75),
  Float64Array.from({ length: 2 }, (_, i) => i - 0.3),
  Float64Array.from({ length: 32 }, (_, i) => Math.sin(i * i + 1)),
  Float64Array.from({ length: slots / 4 }, (_, i) => Math.cos(i * i)),
  Float64Array.from({ length: slots }, (_, i) => Math.cos(i * i + 2)),
]
const seal = createSealEvaluator(fixture.ctx, fixture.sealKeys, { constants })
const simd = createSimdEvaluator(fixture.context, fixture.keys, { constants })

const x = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const y = Float64Array.from({ length: slots }, (_, s) => Math.cos(5 * s) - 0.25)

interface Pair {
  readonly seal: Ciphertext
  readonly simd: SimdCiphertext
}

function encrypt(values: Float64Array, level: number): Pair {
  const pair = fixture.encrypt(values, level, SCALE)
  return {
    seal: ciphertextFromWire(fixture.ctx, pair, level, SCALE),
    simd: simd.load(fixture.packed(pair, level), level, SCALE),
  }
}

/**
 * Residues of node-seal's ciphertext in the simd engine's order: polynomial by polynomial, prime by prime.
 */
function same(pair: Pair): boolean {
  const count = pair.seal.size() * pair.seal.coeffModulusSize() * ring
  const expected = Buffer.from(residuesOf(pair.seal, count).buffer)
  const found = Buffer.concat(simd.residues(pair.simd).map((r) => Buffer.from(halves(r).buffer)))
  return expected.equals(found)
}

for (const level of [topLevel, 2, 1]) {
  const a = encrypt(x, level)
  const b = encrypt(y, level)
  t.test(`level ${level}: loading expands seeds as node-seal does`, async (t) => {
    t.ok(same(a))
    t.ok(same(b))
    t.notOk(same({ seal: a.seal, simd: b.simd }), 'the comparison can fail')
  })
  t.test(`level ${level}: additions`, async (t) => {
    t.ok(same({ seal: seal.add(a.seal, b.seal), simd: simd.add(a.simd, b.simd) }), 'add')
    t.ok(same({ seal: seal.subtract(a.seal, b.seal), simd: simd.subtract(a.simd, b.simd) }), 'subtract')
    t.ok(same({ seal: seal.dropLevel(a.seal, 0), simd: simd.dropLevel(a.simd, 0) }), 'dropLevel')
  })
  t.test(`level ${level}: constants of every period`, async (t) => {
    constants.slice(0, 4).forEach((values, constant) => {
      t.ok(
        same({ seal: seal.addPlain(a.seal, constant), simd: simd.addPlain(a.simd, constant) }),
        `addPlain, period ${values.length}`,
      )
    })
    const terms = [0, 1, 2, 1, 0].map((constant, i) => ({ pair: i % 2 ? a : b, constant }))
    t.ok(
      same({
        seal: seal.dot(
          terms.map(({ pair, constant }) => ({ ciphertext: pair.seal, constant })),
          2 ** 12,
        ),
        simd: simd.dot(
          terms.map(({ pair, constant }) => ({ ciphertext: pair.simd, constant })),
          2 ** 12,
        ),
      }),
      'dot',
    )
  })
  t.test(`level ${level}: products, relinearised and rescaled`, async (t) => {
    const product = { seal: seal.multiply(a.seal, b.seal), simd: simd.multiply(a.simd, b.simd) }
    t.ok(same(product), 'multiply')
    const square = { seal: seal.multiply(a.seal, a.seal), simd: simd.multiply(a.simd, a.simd) }
    t.ok(same(square), 'square')
    const relinearised = { seal: seal.relinearise(product.seal), simd: simd.relinearise(product.simd) }
    t.ok(same(relinearised), 'relinearise')
    const rescaled = { seal: seal.rescale(relinearised.seal), simd: simd.rescale(relinearised.simd) }
    t.ok(same(rescaled), 'rescale')
  })
  t.test(`level ${level}: rotations`, async (t) => {
    for (const steps of STEPS) {
      t.ok(same({ seal: seal.rotate(a.seal, steps), simd: simd.rotate(a.simd, steps) }), `by ${steps}`)
    }
  })
}
