import t from 'tap'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { openSealSession } from '../../../src/he-ops/engines/seal-session.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { encryptSlots } from '../../../src/he-ops/seal/encryptor.ts'
import { generateSecretKey, loadKeySet } from '../../../src/he-ops/seal/keys/index.ts'
import { loadSeal, withHeap } from '../../../src/he-ops/seal/runtime.ts'
import { ciphertextFromWire } from '../../../src/he-ops/seal/serialization/ciphertexts.ts'
import { bytesSource, decodeTensor, encodeTensor, querySpec, responseSpec } from '../../../src/wire/index.ts'
import { rotatingCircuit, simdParameters } from '../../server/rotating-circuit.ts'
import { clientKeySet } from '../../support/client-key-set.ts'
import { collect } from '../../wire/fixtures.ts'
import { mod, transforms } from '../seal/exact.ts'
import { residuesOf } from '../seal/fixture.ts'

// An answer as a session sends it, decrypted to coefficients modulo each prime of its level.

const PERIOD = 8
const known = rotatingCircuit('rotating', 2).circuit
const circuit: Circuit = { ...known, output: { ...known.output, period: PERIOD, classes: 5 } }
const manifest = manifestOf(circuit)
const { ring, slots, primes } = simdParameters
const { level } = circuit.output
const context = createSealContext(await loadSeal(), simdParameters)
const secretKey = generateSecretKey(context)
const frame = await collect(clientKeySet(context, secretKey, manifest.galoisElements))
const keys = await loadKeySet(context, bytesSource(frame), manifest.galoisElements)
const session = openSealSession(context, keys, circuit, manifest, newFloodingKeys())
t.teardown(() => {
  session.free()
  secretKey.delete()
  context.delete()
})

/** The coefficients of an answer, for each prime of its level. */
async function answerCoefficients(): Promise<bigint[][]> {
  const spec = querySpec(manifest)
  // Every slot of the message is the same, so that it has one coefficient.
  const inputs = [1, 2].map((value) => new Float64Array(slots).fill(value))
  const query = encodeTensor(
    simdParameters,
    spec,
    encryptSlots(context, secretKey, inputs, spec.level, spec.scale),
  )
  const { scale } = responseSpec(manifest)
  const [pair] = decodeTensor(simdParameters, responseSpec(manifest), await session.infer(query))
  return withHeap((own) => {
    const plaintext = own(new context.seal.Plaintext())
    const decryptor = own(new context.seal.Decryptor(context.context, secretKey))
    decryptor.decrypt(own(ciphertextFromWire(context, pair, level, scale)), plaintext)
    const residues = residuesOf(plaintext, ring * (level + 1))
    return primes
      .slice(0, level + 1)
      .map((prime, i) =>
        transforms(ring, prime).inverse(Array.from(residues.subarray(i * ring, (i + 1) * ring))),
      )
  })
}

/** Of 32 cells of equal probability: mean 31, standard deviation 7.9 where values are uniform. */
function chiSquared(values: readonly bigint[], prime: bigint): number {
  const cells = new Array<number>(32).fill(0)
  for (const value of values) cells[Number((mod(value, prime) * 32n) / prime)]++
  const expected = values.length / 32
  return cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
}

t.test('coefficients without logits are uniform modulo every prime of an answer', async (t) => {
  const stride = ring / (2 * PERIOD)
  const coefficients = await answerCoefficients()
  t.equal(coefficients.length, 2)
  for (const [i, values] of coefficients.entries()) {
    const masked = values.filter((_, k) => k % stride !== 0)
    t.ok(chiSquared(masked, primes[i]) < 31 + 7 * 7.9, `prime ${i}: ${chiSquared(masked, primes[i])}`)
    const between = values.filter((_, k) => k % stride === stride / 2)
    const large = between.filter((value) => 8n * (value < 0n ? -value : value) > primes[i]).length
    t.ok(large > between.length / 4, `of ${between.length} between the logits ${large} are large`)
  }
})

t.test('coefficients with logits have no mask', async (t) => {
  const stride = ring / (2 * PERIOD)
  const [values] = await answerCoefficients()
  const small = values.filter((value, k) => k % stride === 0 && k > 0 && value ** 2n < 2n ** 40n)
  t.equal(small.length, 2 * PERIOD - 1, 'all but the constant one are noise')
})
