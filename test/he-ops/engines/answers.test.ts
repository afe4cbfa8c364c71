import t, { type Test } from 'tap'
import { logitCoefficients } from '../../../src/circuit/answer.ts'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import { invert } from '../../../src/circuit/parameters/primes.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { verifyCircuit } from '../../../src/circuit/verify.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { widen } from '../../../src/compiler/lowering/widen.ts'
import { createEngine } from '../../../src/he-ops/engine-for.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { engineNameFor } from '../../../src/schedule/engine-name.ts'
import { bytesSource, decodeTensor, type FullRlwe, responseSpec } from '../../../src/wire/index.ts'
import { type PlainCircuit, smallCircuit, withEverySlot } from '../../circuit/circuits.ts'
import { rotatingCircuit } from '../../server/rotating-circuit.ts'
import { collect } from '../../wire/fixtures.ts'
import { centred, mod, residuesOf, transforms } from '../seal/exact.ts'

// Answers of sessions, opened as the service opens them and decrypted with the secret key. Coefficients that
// carry logits must be integers near the logits; all others must be uniform residues.

/** The small circuit without its last operation, so that its answer has two primes. */
function sealCircuit(): Circuit {
  const circuit = smallCircuit()
  return {
    ...circuit,
    ops: circuit.ops.slice(0, -1),
    result: circuit.result - 1,
    output: { ...circuit.output, level: 1 },
  }
}

/** The small circuit for the simd engine and a batch. */
function simdCircuit(batch: number): Circuit {
  const circuit = rotatingCircuit('rotating', 1).circuit as PlainCircuit
  const widened = widen({ ops: circuit.ops, constants: circuit.constants }, batch)
  return { ...circuit, ...widened, batch, output: { ...circuit.output, period: 4 } }
}

/**
 * @returns a function that runs an inference and returns the coefficients modulo each prime, of least
 *   absolute value
 */
async function answersOf(t: Test, circuit: Circuit): Promise<() => Promise<bigint[][]>> {
  verifyCircuit(circuit)
  const { parameters } = circuit
  const manifest = manifestOf(circuit)
  const ring = new KeyRing(memoryKeyStore())
  const model = new LocalModel(manifest, ring)
  const engine = await createEngine(engineNameFor(parameters), { threads: 1 })
  const session = await engine.open({
    circuit,
    manifest,
    keys: engine.newKeys(parameters),
    source: bytesSource(await collect(model.keySet())),
    floodingKeys: newFloodingKeys(),
  })
  const secrets = residuesOf(parameters, (await ring.unlock(parameters)).copySecret())
  t.teardown(async () => {
    session.free()
    await engine.close()
    ring.close()
  })
  const [channels, height, width] = circuit.input.image
  const tensor = new Float64Array(channels * height * width).fill(0.5)
  return async () => {
    const query = await model.encrypt({ shape: circuit.input.image, tensor })
    const frame = await session.infer(query)
    const [{ c0, c1 }] = decodeTensor(parameters, responseSpec(manifest), frame) as FullRlwe[]
    const word = (halves: Uint32Array, at: number): bigint =>
      BigInt(halves[2 * at]) + (BigInt(halves[2 * at + 1]) << 32n)
    return parameters.primes.slice(0, circuit.output.level + 1).map((prime, i) => {
      const phase = secrets(i).map((s, b) => {
        const at = i * parameters.ring + b
        return mod(word(c0, at) + word(c1, at) * s, prime)
      })
      return transforms(parameters.ring, prime).inverse(phase)
    })
  }
}

const primesOf = ({ parameters, output }: Circuit): bigint[] => parameters.primes.slice(0, output.level + 1)

/** The integers of least absolute value with these residues. */
function integersOf(residues: readonly bigint[][], primes: readonly bigint[]): bigint[] {
  const modulus = primes.reduce((product, prime) => product * prime, 1n)
  const units = primes.map((prime) => (modulus / prime) * invert(modulus / prime, prime))
  return residues[0].map((_, k) =>
    centred(
      units.reduce((sum, unit, i) => sum + unit * mod(residues[i][k], primes[i]), 0n),
      modulus,
    ),
  )
}

/** A chi-squared statistic of 32 cells of equal probability. Its mean is 31, its standard deviation 7.9. */
function chiSquared(values: readonly bigint[], prime: bigint): number {
  const cells = new Array<number>(32).fill(0)
  for (const value of values) cells[Number((mod(value, prime) * 32n) / prime)]++
  const expected = values.length / 32
  return cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
}
const UNIFORM = 31 + 9 * 7.9

for (const [what, circuit, count] of [
  ['seal, one image', sealCircuit(), 8],
  ['simd, one image', simdCircuit(1), 8],
  ['simd, four images', simdCircuit(4), 32],
] as const) {
  t.test(`${what}: all coefficients without logits are uniform modulo every prime`, async (t) => {
    const answer = await answersOf(t, circuit)
    const primes = primesOf(circuit)
    t.equal(primes.length, 2)
    const stride = circuit.parameters.ring / count
    const seen = [await answer(), await answer()]
    for (const residues of seen) {
      // A coefficient that is uniform modulo Q is below Q / 2^32 with probability 2^-31.
      const bound = primes.reduce((product, prime) => product * prime, 1n) >> 32n
      const open = integersOf(residues, primes).flatMap((value, k) =>
        value < bound && -value < bound ? [k] : [],
      )
      t.strictSame(
        open,
        Array.from({ length: count }, (_, k) => k * stride),
        'number of coefficients without a mask',
      )
    }
    const isMasked = (_: bigint, k: number): boolean => k % stride !== 0
    primes.forEach((prime, i) => {
      const [first, second] = seen.map((residues) => residues[i].filter(isMasked))
      for (const values of [first, second]) {
        const chi = chiSquared(values, prime)
        t.ok(chi < UNIFORM, `prime ${i}: chi-squared ${chi.toFixed(1)}`)
      }
      const difference = chiSquared(
        first.map((value, k) => value - second[k]),
        prime,
      )
      t.ok(difference < UNIFORM, `prime ${i}, two answers: chi-squared ${difference.toFixed(1)}`)
    })
  })
}

for (const [what, plain] of [
  ['seal', sealCircuit()],
  ['simd', simdCircuit(1)],
] as const) {
  t.test(`${what}: the flooding of an answer has the stated deviation`, async (t) => {
    const flooding = 8
    const every = withEverySlot(plain)
    const circuit = { ...every, output: { ...every.output, flooding } }
    const answer = await answersOf(t, circuit)
    const primes = primesOf(circuit)
    const [first, second] = [integersOf(await answer(), primes), integersOf(await answer(), primes)]
    const squares = first.reduce((sum, value, k) => sum + Number(value - second[k]) ** 2, 0)
    // The difference of two answers has the flooding of both. Each of 2P coefficients has the deviation of a
    // logit divided by sqrt(P).
    const coefficient = Math.sqrt(squares / first.length / 2)
    const { count } = logitCoefficients(circuit)
    const found = (coefficient * Math.sqrt(count / 2)) / circuit.output.scale
    t.ok(Math.abs(found / flooding - 1) < 0.1, `deviation ${found}`)
  })
}
