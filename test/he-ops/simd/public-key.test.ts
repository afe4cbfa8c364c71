import t from 'tap'
import { logitCoefficients } from '../../../src/circuit/answer.ts'
import { digestOf } from '../../../src/circuit/format/digest.ts'
import { galoisKeyCount } from '../../../src/circuit/keys.ts'
import { invert } from '../../../src/circuit/parameters/primes.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys/index.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { bytesSource, keySetLayout, type PackedFullRlwe } from '../../../src/wire/index.ts'
import { rlweBytes } from '../../../src/wire/rlwe.ts'
import { refreshed } from '../../support/refreshed.ts'
import { mod, transforms } from '../seal/exact.ts'
import { refreshedCircuit, STEPS, smallSimdCircuit } from './circuits.ts'
import { simdFixture, unpacked } from './fixture.ts'

// A malicious client uploads a public key with zeros for its first polynomial. Re-randomising then adds only
// a small error to first polynomials, and masks must hide the rest.

const PERIOD = 16
const DIGEST_BYTES = 32
/** Differences below this are those of small errors. */
const SMALL = 2n ** 20n

/** A key set's frame with zeros for the public key's first polynomial. */
function withoutPublicKey(frame: Uint8Array, { parameters }: Circuit, galoisKeys: number): Uint8Array {
  const { publicKeyAt, shape } = keySetLayout(parameters, galoisKeys)
  const forged = frame.slice()
  forged.fill(0, publicKeyAt, publicKeyAt + rlweBytes(shape, false) / 2)
  const end = forged.length - DIGEST_BYTES
  forged.set(digestOf(forged.subarray(0, end)), end)
  return forged
}

/** Coefficients at which the first polynomials of two runs differ by little, modulo one prime. */
function alike(
  first: PackedFullRlwe,
  second: PackedFullRlwe,
  { parameters }: Circuit,
  index: number,
): number[] {
  const { ring } = parameters
  const prime = parameters.primes[index]
  const { inverse } = transforms(ring, prime)
  const [a, b] = [first, second].map((pair) => {
    const { c0 } = unpacked(pair)
    return inverse(Array.from({ length: ring }, (_, i) => BigInt(c0[2 * (index * ring + i)])))
  })
  return Array.from({ length: ring }, (_, k) => k).filter((k) => {
    const difference = mod(a[k] - b[k], prime)
    return difference < SMALL || prime - difference < SMALL
  })
}

/**
 * What the first polynomials of two runs differ by, in fractions of the level's modulus: by the Chinese
 * remainder theorem.
 */
function differences(
  first: PackedFullRlwe,
  second: PackedFullRlwe,
  { parameters }: Circuit,
  level: number,
): Float64Array {
  const { ring } = parameters
  const primes = parameters.primes.slice(0, level + 1)
  const modulus = primes.reduce((product, prime) => product * prime, 1n)
  const [a, b] = [unpacked(first).c0, unpacked(second).c0]
  const limbs = primes.map((prime, i) => {
    const { inverse } = transforms(ring, prime)
    const at = (k: number): number => 2 * (i * ring + k)
    const difference = (k: number): bigint => mod(BigInt(a[at(k)]) - BigInt(b[at(k)]), prime)
    const residues = inverse(Array.from({ length: ring }, (_, k) => difference(k)))
    const rest = modulus / prime
    return { residues, unit: rest * invert(rest, prime) }
  })
  return Float64Array.from({ length: ring }, (_, k) => {
    const sum = limbs.reduce((all, { residues, unit }) => all + residues[k] * unit, 0n)
    return Number((mod(sum, modulus) * 2n ** 52n) / modulus) / 2 ** 52
  })
}

/** Chi-squared of 32 cells of equal chance: of mean 31 and deviation 7.9 where fractions are uniform. */
function chiSquared(values: Float64Array): number {
  const cells = new Array<number>(32).fill(0)
  for (const value of values) cells[Math.floor(32 * value)]++
  const expected = values.length / 32
  return cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
}

/** The number of `count` uniform residues near zero, within seven standard deviations. */
function isChance(found: number, count: number, prime: bigint): boolean {
  const expected = (count * Number(2n * SMALL)) / Number(prime)
  return Math.abs(found - expected) < 7 * Math.sqrt(expected) + 1
}

async function started(circuit: Circuit, steps: readonly number[]) {
  const conjugation = circuit.ops.some(({ kind }) => kind === 'conjugate')
  const fixture = await simdFixture(circuit.parameters, steps, { conjugation })
  const engine = await SimdEngine.create({ threads: 2 })
  const keySet = withoutPublicKey(fixture.keySet, circuit, galoisKeyCount(circuit))
  const session = await engine.open(circuit, engine.newKeySet(circuit.parameters), bytesSource(keySet))
  const { level, scale, layout } = circuit.input
  const inputs = Array.from({ length: layout.ciphertexts }, (_, i) => {
    const slots = Float64Array.from({ length: circuit.parameters.slots }, (_, s) => Math.sin(s + i))
    return fixture.packed(fixture.encrypt(slots, level, scale), level)
  })
  return {
    fixture,
    session,
    inputs,
    async close() {
      await engine.close()
      fixture.delete()
    },
  }
}

t.test('an answer is uniform outside the coefficients of its logits', async (t) => {
  const small = smallSimdCircuit()
  const circuit = { ...small, output: { ...small.output, period: PERIOD } }
  const { ring, primes } = circuit.parameters
  const { stride, count } = logitCoefficients(circuit)
  t.equal(count, 2 * PERIOD)
  const { session, inputs, close } = await started(circuit, STEPS)
  t.teardown(close)
  // Without flooding, which would hide some bits of the logits.
  const control = { flooding: (length: number) => new Float64Array(length) }
  const answers = [await session.run(inputs, control), await session.run(inputs, control)]
  t.equal(circuit.output.level, 1)
  for (const index of [0, 1]) {
    const shown = alike(answers[0], answers[1], circuit, index)
    const logits = shown.filter((k) => k % stride === 0).length
    t.equal(logits, count, 'those of the logits show: the key does not hide them')
    const others = shown.length - logits
    t.ok(isChance(others, ring - count, primes[index]), `${others} others modulo prime ${index}`)
  }
})

t.test('a masked value is uniform', async (t) => {
  const circuit = refreshedCircuit({ period: PERIOD })
  const { parameters } = circuit
  const { fixture, session, inputs, close } = await started(circuit, [6])
  t.teardown(close)
  const key = await KernelKey.create(parameters, secretPolynomial(fixture.ctx, fixture.secretKey))
  const rounds: PackedFullRlwe[][] = []
  for (const run of [0, 1]) {
    rounds[run] = []
    await session.run(inputs, {}, async (_, masked) => {
      rounds[run].push(...masked)
      return refreshed(key, masked, circuit.refresh!.level, parameters.topLevel)
    })
  }
  t.equal(rounds[0].length, 3)
  rounds[0].forEach((pair, i) => {
    for (let index = 0; index <= circuit.refresh!.level; index++) {
      const prime = parameters.primes[index]
      const shown = alike(pair, rounds[1][i], circuit, index).length
      t.ok(
        isChance(shown, parameters.ring, prime),
        `${shown} coefficients of ciphertext ${i}, prime ${index}`,
      )
    }
    const chi = chiSquared(differences(pair, rounds[1][i], circuit, circuit.refresh!.level))
    t.ok(chi < 31 + 9 * 7.9, `the highest bits of ciphertext ${i} are uniform: ${chi.toFixed(1)}`)
  })
})
