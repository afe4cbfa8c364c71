import t from 'tap'
import { conjugationElement, galoisElement } from '../../../src/circuit/keys.ts'
import { checkParameters, LARGEST_RING } from '../../../src/circuit/parameters/parameters.ts'
import { invert, nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { ComplexVector, SlotVector } from '../../../src/circuit/types.ts'
import type { Evaluator } from '../../../src/he-ops/backend.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { createClientKey, sampleSecretKey } from '../../../src/he-ops/client/create.ts'
import { periodicPart } from '../../../src/he-ops/encoding/decode-periodic.ts'
import { complexSlotsOfPeriodic, embedPeriodicFast } from '../../../src/he-ops/encoding/embedding-fft.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { decryptResidues } from '../../../src/he-ops/simd/encryption/decryptor.ts'
import { negatedSecret } from '../../../src/he-ops/simd/encryption/secret.ts'
import { SimdKeySet } from '../../../src/he-ops/simd/keys/key-set.ts'
import { inverseArguments } from '../../../src/he-ops/simd/tables/modulus.ts'
import { engineNameFor } from '../../../src/schedule/engine-name.ts'
import { bytesSource, openKeySet } from '../../../src/wire/index.ts'
import { areSmall, compareRaised, deviation } from '../../conformance/raise.ts'
import { createSimdEvaluator, type SimdCiphertext } from '../../support/simd-evaluator.ts'
import { collect } from '../../wire/fixtures.ts'
import { centred } from '../seal/exact.ts'
import { halves, newSimdContext } from './fixture.ts'

// The largest ring, which node-seal refuses: the simd evaluator against the clear one, with few primes.

const STEPS = 12_345
const SCALE = 2 ** 29
const found = nttPrimes(LARGEST_RING, [30, 30, 30, 30, 30]).map(String)
const parameters = checkParameters({
  ring: LARGEST_RING,
  primes: found.slice(0, 3),
  specialPrimes: found.slice(3),
  raiseLevel: 1,
})
const { slots, topLevel, primes } = parameters
const elements = [galoisElement(LARGEST_RING, STEPS), conjugationElement(LARGEST_RING)].sort((a, b) => a - b)

const secret = await sampleSecretKey(parameters)
const key = await createClientKey(parameters, secret, '')
t.teardown(() => key.delete())
const context = await newSimdContext(parameters)
const negated = negatedSecret(context, secret)
const keys = new SimdKeySet(context)
await keys.load(await openKeySet(parameters, bytesSource(await collect(key.keySet(elements)))), elements)

const vector = (at: (slot: number) => number): Float64Array =>
  Float64Array.from({ length: slots }, (_, s) => at(s))
/** Vectors in which all numbers differ. */
const x = { real: vector((s) => Math.sin(s + 1)), imaginary: vector((s) => Math.cos(s * s)) }
const y = { real: vector((s) => Math.cos(5 * s) - 0.25), imaginary: vector((s) => Math.sin(3 * s) / 2) }
const constants = [vector((s) => Math.sin(s * s + 2)), Float64Array.of(0.5, -1, 0.25, 1.5)]

const evaluator = createSimdEvaluator(context, keys, { constants })
const clear = createClearEvaluator({ parameters, constants }, { noise: 'none' })

async function encrypt(values: SlotVector, level: number): Promise<SimdCiphertext> {
  const [pair] = await key.encryptSlots([values], level, SCALE)
  if (!('limbs' in pair)) throw new Error('The kernels encrypt packed pairs')
  return evaluator.load(pair, level, SCALE)
}

/** The coefficients of a message. The product of the primes that are used is below 2^90. */
function coefficientsOf(a: SimdCiphertext): Float64Array {
  const [c0, c1] = evaluator.residues(a).map(halves)
  const residues = decryptResidues(context, negated, { c0, c1 }, a.level)
  const used = primes.slice(0, a.level + 1)
  const modulus = used.reduce((product, prime) => product * prime, 1n)
  const limbs = used.map((prime, i) => {
    const rest = modulus / prime
    const unit = rest * invert(rest, prime)
    return inverse(residues.subarray(i * LARGEST_RING, (i + 1) * LARGEST_RING), i).map(
      (value) => value * unit,
    )
  })
  return Float64Array.from(limbs[0], (_, k) => {
    const value = limbs.reduce((sum, limb) => sum + limb[k], 0n)
    return Number(centred(value, modulus)) / a.scale
  })
}

/** The inverse transform modulo one prime, by the kernel. */
function inverse(values: BigUint64Array, i: number): bigint[] {
  const { heap } = context
  const address = heap.allocate(context.limbBytes)
  heap.words(address, LARGEST_RING).set(Uint32Array.from(values, Number))
  context.call('nttInverse', inverseArguments(context.moduli[i], LARGEST_RING, address))
  const found = Array.from(heap.words(address, LARGEST_RING), BigInt)
  heap.free(address)
  return found
}

const decrypt = (a: SimdCiphertext): ComplexVector => complexSlotsOfPeriodic(coefficientsOf(a))

/** The largest difference of a slot's parts. */
const largestError = (a: ComplexVector, b: ComplexVector): number =>
  Math.max(...(['real', 'imaginary'] as const).map((part) => differenceOf(a[part], b[part])))

const differenceOf = (a: Float64Array, b: Float64Array): number =>
  a.reduce((most, value, s) => Math.max(most, Math.abs(value - b[s])), 0)

type Computation = <Ct>(on: Evaluator<Ct>, a: Ct, b: Ct) => Ct

const computations: Record<string, Computation> = {
  'an encryption': (_, a) => a,
  'a rotation': (on, a) => on.rotate(a, STEPS),
  'a conjugation': (on, a) => on.conjugate(a),
  'a product': (on, a, b) => on.rescale(on.relinearise(on.multiply(a, b))),
  'a rotated product, at a lower level': (on, a, b) =>
    on.rotate(on.rescale(on.relinearise(on.multiply(a, b))), STEPS),
  'a sum of products with constants': (on, a, b) =>
    on.rescale(
      on.dot(
        [
          { ciphertext: a, constant: 0 },
          { ciphertext: b, constant: 1 },
        ],
        SCALE,
      ),
    ),
}

for (const [what, compute] of Object.entries(computations)) {
  t.test(`ring 65536: ${what} is that of the clear evaluator`, async (t) => {
    const result = compute(evaluator, await encrypt(x, topLevel), await encrypt(y, topLevel))
    const expected = compute(clear, clear.encrypt(x, topLevel, SCALE), clear.encrypt(y, topLevel, SCALE))
    t.equal(result.level, clear.levelOf(expected))
    t.equal(result.scale, clear.scaleOf(expected))
    const slotsOf = clear.decrypt(expected)
    const decrypted = decrypt(result)
    const error = largestError(decrypted, slotsOf)
    t.ok(error < 2 ** -9, `a slot is off by ${error}`)
    const moved = { real: rotated(slotsOf.real), imaginary: rotated(slotsOf.imaginary) }
    t.ok(largestError(decrypted, moved) > 2 ** -2, 'slots in other places are noticed')
  })
}

const rotated = (values: Float64Array): Float64Array => values.map((_, s) => values[(s + 1) % slots])

t.test('ring 65536: the client decrypts the part of an answer that repeats', async (t) => {
  const period = 64
  const a = await encrypt(x, 1)
  const [c0, c1] = evaluator.residues(a).map(halves)
  const part = await key.decryptPeriodic({ c0, c1 }, 1, SCALE, period)
  const error = largestError(part, periodicPart(x, period))
  t.ok(error < 2 ** -12, `a slot is off by ${error}`)
})

t.test('ring 65536: raised coefficients get small multiples of the modulus', async (t) => {
  const raised = evaluator.raise(await encrypt(x, 1))
  t.equal(raised.level, topLevel)
  const modulus = Number(primes[0] * primes[1]) / SCALE
  const after = coefficientsOf(raised)
  const { multiples, error } = compareRaised(embedPeriodicFast(x), after, modulus)
  t.ok(error < 1e-4, `a coefficient is off by ${error}`)
  t.ok(areSmall(multiples))
  const spread = deviation(multiples)
  t.ok(Math.abs(spread / Math.sqrt(33 / 12) - 1) < 0.05, `deviation ${spread}`)
  const other = compareRaised(embedPeriodicFast(y), after, modulus)
  t.ok(other.error > 1e-3, 'another message is noticed')
})

t.test('ring 65536: node-seal is refused by client and server, with what takes the ring', async (t) => {
  const [prime, special] = nttPrimes(LARGEST_RING, [40, 41]).map(String)
  const large = checkParameters({ ring: LARGEST_RING, primes: [prime], specialPrimes: [special] })
  const refusal = {
    code: 'CONFIG_INVALID',
    message:
      /^node-seal takes rings up to 32768, not 65536; the simd engine does, with primes of at most 30 bits/,
  }
  await t.rejects(sampleSecretKey(large), refusal)
  t.throws(() => engineNameFor(large), refusal)
  const seal = await loadSeal()
  t.throws(() => createSealContext(seal, parameters), refusal)
})
