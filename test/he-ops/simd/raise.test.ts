import t from 'tap'
import { keyLevels } from '../../../src/circuit/keys.ts'
import {
  type CkksParameters,
  checkParameters,
  digitSize,
} from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { coefficientDeviation, raisingNoise } from '../../../src/he-ops/noise.ts'
import { compileCircuit } from '../../../src/he-ops/simd/circuit-program.ts'
import { ConstantStore } from '../../../src/he-ops/simd/constants/constant-store.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import type { SimdKeys } from '../../../src/he-ops/simd/keys/key-set.ts'
import { piecesFor, runPiece } from '../../../src/he-ops/simd/program/program.ts'
import { PairLoader } from '../../../src/he-ops/simd/values/pair-loader.ts'
import { keyMemory } from '../../../src/schedule/key-memory.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { areSmall, deviation } from '../../conformance/raise.ts'
import { coefficientsOf, phaseOf, takeApart } from '../../support/exact-raise.ts'
import { raising } from '../../support/raising.ts'
import { createSimdEvaluator } from '../../support/simd-evaluator.ts'
import { mod, secretResidues, transforms } from '../seal/exact.ts'
import { CircuitBuilder } from './circuits.ts'
import { loadedFar, type SimdFixture, simdFixture, unpacked } from './fixture.ts'

// Raised values against exact integer arithmetic. Primes are of unlike sizes, so that a target may be much
// smaller than a source.

const RING = 8192
const SCALE = 2 ** 26

function chain(bits: readonly number[], special: number): CkksParameters {
  const primes = nttPrimes(RING, bits).map(String)
  return checkParameters({
    ring: RING,
    primes: primes.slice(special),
    specialPrimes: primes.slice(0, special),
  })
}

const cases = [
  { level: 0, parameters: raising(chain([30, 27, 24, 30, 21], 1), 0) },
  { level: 1, parameters: raising(chain([30, 29, 28, 26, 24, 30, 22], 2), 1) },
  { level: 3, parameters: raising(chain([30, 30, 25, 24, 23, 26, 20, 30], 2), 3) },
]
const fixtures: SimdFixture[] = []
for (const { parameters } of cases) fixtures.push(await simdFixture(parameters, [1]))
t.teardown(() => {
  for (const fixture of fixtures) fixture.delete()
})

for (const [c, { level, parameters }] of cases.entries()) {
  const { primes, slots, topLevel } = parameters
  const fixture = fixtures[c]
  const secrets = secretResidues(fixture.ctx, fixture.secretKey)
  const own = primes.slice(0, level + 1)
  const modulus = own.reduce((product, prime) => product * prime, 1n)
  const evaluator = createSimdEvaluator(fixture.context, fixture.keys, { constants: [] })

  t.test(
    `level ${level}: each coefficient gets a small multiple of the modulus and little noise`,
    async (t) => {
      const values = Float64Array.from({ length: slots }, (_, s) => Math.sin(s * s) / 2)
      // The smallest modulus has 30 bits.
      const scale = level === 0 ? 2 ** 20 : SCALE
      const low = evaluator.load(fixture.packed(fixture.encrypt(values, level, scale), level), level, scale)
      const raised = evaluator.raise(low)
      const before = phaseOf(parameters, evaluator.residues(low), secrets, level + 1)
      const after = phaseOf(parameters, evaluator.residues(raised), secrets, topLevel + 1)
      const { multiples, noise } = takeApart(before, after, modulus)
      t.ok(areSmall(multiples), 'multiples are small')
      const spread = deviation(multiples)
      t.ok(Math.abs(spread / Math.sqrt(33 / 12) - 1) < 0.05, `multiples have deviation ${spread}`)
      const size = deviation(noise)
      const expected = coefficientDeviation(parameters, raisingNoise(parameters, level))
      // With one special prime the formula is a bound. Rounding alone gives sqrt(N / 18).
      const least = digitSize(parameters) > 1 ? expected / 1.15 : Math.sqrt(RING / 18)
      t.ok(size > least && size < 1.15 * expected, `noise has deviation ${size}, by the formula ${expected}`)
      t.ok(Math.max(...noise.map(Math.abs)) < 8 * size, 'and no large values')
      const wrong = takeApart(
        before.map((value) => -value),
        after,
        modulus,
      )
      t.ok(deviation(wrong.noise) > 100 * size, 'another message is noticed')
      for (const a of [low, raised]) evaluator.free(a)
    },
  )

  t.test(
    `level ${level}: a value without a second polynomial is lifted exactly, next to half of the modulus too`,
    async (t) => {
      const half = modulus / 2n
      const wanted = Array.from({ length: RING }, (_, k) => {
        const some = mod(BigInt(k) ** 7n * 0x9e3779b97f4a7c15n ** 5n, modulus) - half
        return [half, -half, half - 1n, 1n - half, 0n, 1n, -1n, some][k % 8]
      })
      const low = evaluator.load(
        fixture.packed(fixture.encrypt(Float64Array.of(0), level, 2 ** 10), level),
        level,
        2 ** 10,
      )
      const { heap } = fixture.context
      const [c0, c1] = low.value.polynomials
      own.forEach((prime, i) => {
        const row = transforms(RING, prime).forward(wanted)
        heap.words(c0 + 4 * RING * i, RING).set(row.map(Number))
      })
      heap.words(c1, RING * own.length).fill(0)
      const raised = evaluator.raise(low)
      const [first, second] = evaluator.residues(raised)
      t.ok(second.every((residue) => residue === 0))
      const rows = primes.map((_, i) => Array.from(first.subarray(i * RING, (i + 1) * RING), BigInt))
      t.strictSame(coefficientsOf(RING, primes, rows), wanted)
      for (const a of [low, raised]) evaluator.free(a)
    },
  )
}

const lowHalves = (halves: Uint32Array): Uint32Array => halves.filter((_, i) => i % 2 === 0)

/**
 * Two raised values of unlike messages, and a rotation of one of them, are added, some in the extended basis.
 */
function raisingCircuit(parameters: CkksParameters, count: number): Circuit {
  const builder = new CircuitBuilder(parameters)
  const inputs = Array.from({ length: count }, () => builder.input(SCALE))
  const low = inputs.map((input) => builder.dropLevel(input, parameters.raiseLevel!))
  const raised = low.map((value) => builder.raise(value))
  const sum = raised.reduce((total, value) => builder.add(total, value))
  builder.add(sum, builder.rotate(sum, 1))
  return builder.finish([])
}

t.test('a circuit’s raises have the same bits for any number of threads', async (t) => {
  const fixture = fixtures[1]
  const { parameters } = cases[1]
  const { context, keys } = fixture
  const { topLevel, slots } = parameters
  const circuit = raisingCircuit(parameters, 3)
  const pairs = Array.from({ length: 3 }, (_, i) =>
    fixture.encrypt(
      Float64Array.from({ length: slots }, (_, s) => Math.cos(s * s + i)),
      topLevel,
      SCALE,
    ),
  )
  const farKeys = await loadedFar(fixture)
  const run = (threads: number, own: SimdKeys = keys): Uint32Array[] => {
    const constants = new ConstantStore(context, [])
    const linked = compileCircuit(context, circuit, own, constants, threads)
    const loader = new PairLoader(context)
    linked.inputs.forEach(({ polynomials }, i) => {
      loader.load(fixture.packed(pairs[i], topLevel), polynomials[0], polynomials[1])
    })
    for (let phase = 0; phase + 1 < linked.program.phases.length; phase++) {
      for (let piece = piecesFor(threads) - 1; piece >= 0; piece--) {
        runPiece(linked.program, context.kernels, phase, piece)
      }
    }
    const residues = linked.result.polynomials.map((polynomial) =>
      context.heap.words(polynomial, RING * (topLevel + 1)).slice(),
    )
    for (const part of [loader, linked, constants]) part.free()
    return residues
  }
  const expected = run(1)
  const { used } = context.heap
  for (const threads of [2, 3]) t.strictSame(run(threads), expected, `${threads} threads`)
  t.strictSame(run(2, farKeys), expected, 'keys in far memory')
  t.equal(context.heap.used, used, 'no memory is kept')

  const evaluator = createSimdEvaluator(context, keys, { constants: [] })
  const sum = pairs
    .map((pair) => evaluator.load(fixture.packed(pair, topLevel), topLevel, SCALE))
    .map((value) => evaluator.raise(evaluator.dropLevel(value, 1)))
    .reduce((total, value) => evaluator.add(total, value))
  const alone = evaluator.add(sum, evaluator.rotate(sum, 1))
  const secrets = secretResidues(fixture.ctx, fixture.secretKey)
  const phase = (residues: readonly Uint32Array[]): bigint[] =>
    phaseOf(parameters, residues, secrets, topLevel + 1)
  const together = phase(expected)
  const difference = phase(evaluator.residues(alone)).map((value, k) => Number(value - together[k]))
  t.ok(deviation(difference) < 1000, `one by one: ${deviation(difference)} apart`)
})

t.test('an engine loads the keys and runs the circuit', async (t) => {
  const fixture = fixtures[1]
  const { parameters } = cases[1]
  const { topLevel } = parameters
  const builder = new CircuitBuilder(parameters)
  builder.raise(builder.dropLevel(builder.input(SCALE), 1))
  const circuit = builder.finish([])
  const engine = await SimdEngine.create({ threads: 2 })
  t.teardown(() => engine.close())
  const keys = engine.newKeySet(parameters)
  const session = await engine.open(circuit, keys, bytesSource(fixture.keySet))
  t.equal(keys.bytes, keyMemory(parameters, keyLevels(parameters, circuit)))
  const values = Float64Array.from({ length: parameters.slots }, (_, s) => Math.sin(s * s))
  const packed = fixture.packed(fixture.encrypt(values, topLevel, SCALE), topLevel)
  const result = unpacked(await session.run([packed]))
  const evaluator = createSimdEvaluator(fixture.context, undefined, { constants: [] })
  const input = evaluator.load(packed, topLevel, SCALE)
  const secrets = secretResidues(fixture.ctx, fixture.secretKey)
  const { multiples, noise } = takeApart(
    phaseOf(parameters, evaluator.residues(input), secrets, 2),
    // Words of the wire format are halves of 64 bits; the high ones are zero.
    phaseOf(parameters, [lowHalves(result.c0), lowHalves(result.c1)], secrets, topLevel + 1),
    parameters.primes[0] * parameters.primes[1],
  )
  t.ok(areSmall(multiples))
  t.ok(deviation(noise) < 2e4, `noise with flooding has deviation ${deviation(noise)}`)
  evaluator.free(input)
  session.free()
  keys.free()
})
