import t from 'tap'
import { powMod } from '../../../src/circuit/primes.ts'
import { publicEncryptionNoise, slotDeviation } from '../../../src/he-ops/noise.ts'
import { uniformIntegers } from '../../../src/he-ops/random.ts'
import {
  allocateFlooding,
  borderScratch,
  emitOutput,
  type Output,
  readLeaving,
  writeIntegers,
} from '../../../src/he-ops/simd/border.ts'
import { PairLoader } from '../../../src/he-ops/simd/loader.ts'
import { emitLeaving } from '../../../src/he-ops/simd/operations/rerandomise.ts'
import { uniformBytes, uniformIntegers as uniformIn } from '../../../src/he-ops/simd/operations/sample.ts'
import { divisorOf, OutputKeys } from '../../../src/he-ops/simd/output-key.ts'
import { linkProgram, runProgram } from '../../../src/he-ops/simd/run.ts'
import { polynomialBytes, type Value } from '../../../src/he-ops/simd/values.ts'
import { bytesSource, openKeySet, type PackedFullRlwe, type SeededRlwe } from '../../../src/wire/index.ts'
import { slowBinomial, slowTernary } from '../kernels/slow-sampling.ts'
import { expanded, mod, transforms } from '../seal/exact.ts'
import { parameters } from './circuits.ts'
import { simdFixture, unpacked } from './fixture.ts'

// Re-randomising by the kernels: against its definition in big integers, and against node-seal's decryption.

const { ring, slots, topLevel } = parameters
const fixture = await simdFixture(parameters, [])
t.teardown(() => fixture.delete())
const { context } = fixture
const { heap, limbBytes, moduli, ones, kernels } = context
const SCALE = 2 ** 40
const LEVELS = [0, 2, topLevel]
const reader = await openKeySet(parameters, bytesSource(fixture.keySet))
const keys = await OutputKeys.load(context, reader, LEVELS)
const scratch = borderScratch(context, LEVELS)
const message = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))

/** A value in kernel memory. */
function valueAt(level: number, residues: readonly Uint32Array[]): Value {
  const primes = level + 1
  const polynomials = residues.map((words) => {
    const address = heap.allocate(polynomialBytes(context, primes, false))
    heap.words(address, ring * primes).set(words)
    return address
  })
  return { polynomials, primes, extended: false }
}

function encrypted(level: number): Value {
  const blank = new Uint32Array(ring * (level + 1))
  const value = valueAt(level, [blank, blank])
  const loader = new PairLoader(context)
  const pair = fixture.packed(fixture.encrypt(message, level, SCALE), level)
  loader.load(pair, value.polynomials[0], value.polynomials[1])
  loader.free()
  return value
}

const noise = (pair: PackedFullRlwe, level: number): Float64Array =>
  fixture.decryptPair(pair, level, SCALE).map((value, s) => (value - message[s]) * SCALE)

const rms = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)

/** Runs a body with the platform's random bytes recorded. */
function recorded(body: () => void): Uint8Array[] {
  const { random } = kernels
  const drawn: Uint8Array[] = []
  kernels.random = (address, bytes) => {
    const result = random(address, bytes)
    drawn.push(heap.bytes(address >>> 0, bytes).slice())
    return result
  }
  kernels.random = Object.defineProperty(kernels.random, 'length', { value: 2 })
  try {
    body()
  } finally {
    kernels.random = random
  }
  return drawn
}

/** Masks of a run's bytes: thirty bits of each word but the last, of that what is left. */
function slowMask(bytes: Uint8Array, bits: number): bigint[] {
  const words = new Uint32Array(bytes.slice().buffer)
  const digits = words.length / ring
  return Array.from({ length: ring }, (_, k) => {
    let value = -(2n ** BigInt(bits - 1))
    for (let j = 0; j < digits; j++) {
      const kept = j < digits - 1 ? 30 : bits - 30 * (digits - 1)
      value += BigInt(words[j * ring + k] % 2 ** kept) << BigInt(30 * j)
    }
    return value
  })
}

for (const [level, bits] of [
  [0, 20],
  [2, 76],
  [topLevel, 90],
] as const) {
  t.test(
    `level ${level}: what the definition gives for the bytes that were drawn, to the last bit`,
    async (t) => {
      const primes = parameters.primes.slice(0, level + 1)
      const input = primes.flatMap((prime, i) =>
        Array.from({ length: ring }, (_, b) => Number((BigInt(b * 7919 + i) * 0x9e3779b97f4a7c15n) % prime)),
      )
      const value = valueAt(level, [Uint32Array.from(input), Uint32Array.from(input)])
      let out: readonly [number, number] = [0, 0]
      const linked = linkProgram(context, 1, scratch, (builder) => {
        const integers = uniformIn(builder.allocate(uniformBytes(context, bits)), bits)
        out = [builder.allocate(limbBytes * value.primes), builder.allocate(limbBytes * value.primes)]
        emitLeaving(builder, context, [{ value, key: keys.at(level), mask: { integers, bits }, out }])
      })
      const drawn = recorded(() => runProgram(linked.program, context))
      const found = unpacked(readLeaving(context, out, level))
      linked.free()
      t.equal(drawn.length, 4)
      const mask = slowMask(drawn[0], bits)
      const u = Array.from(slowTernary(drawn[1], ring), (word) => BigInt(word) - 1n)
      const errors = drawn
        .slice(2)
        .map((bytes) => Array.from(slowBinomial(bytes, ring), (word) => BigInt(word) - 21n))
      const publicKey = expanded(fixture.ctx, (await reader.publicKey()) as SeededRlwe)
      const divisor = moduli[divisorOf(level)].prime
      for (const [p, polynomial] of [found.c0, found.c1].entries()) {
        const key = p === 0 ? publicKey.c0 : publicKey.c1
        const product = (index: number): bigint[] => {
          const { prime } = moduli[index]
          const { forward, inverse } = transforms(ring, prime)
          const limb = forward(u).map((residue, b) => mod(residue * key[index * ring + b], prime))
          return inverse(limb).map((residue, k) => mod(residue + errors[p][k], prime))
        }
        const remainder = product(divisorOf(level)).map((r) => (r > divisor / 2n ? r - divisor : r))
        primes.forEach((prime, i) => {
          const inverse = powMod(divisor % prime, prime - 2n, prime)
          const added = product(i).map((value, k) =>
            mod((value - remainder[k]) * inverse + (p === 0 ? mask[k] : 0n), prime),
          )
          const expected = transforms(ring, prime).forward(added)
          const isEqual = expected.every((residue, b) => {
            const at = i * ring + b
            return polynomial[2 * at] === Number(mod(residue + BigInt(input[at]), prime))
          })
          t.ok(isEqual, `polynomial ${p} modulo prime ${i}`)
        })
      }
    },
  )
}

/** Lets values leave as results do. */
function leave(
  value: Value,
  level: number,
  flooding: Float64Array | undefined,
  bound: number,
): PackedFullRlwe {
  const border = { keys, maskBits: undefined, floodingBound: bound }
  let output: Output | undefined
  const linked = linkProgram(context, 1, scratch, (builder) => {
    output = emitOutput(builder, context, border, value, allocateFlooding(builder, context, border))
  })
  if (output!.flooding) writeIntegers(context, output!.flooding, flooding!)
  runProgram(linked.program, context)
  const result = readLeaving(context, output!.packed, level)
  linked.free()
  return result
}

t.test('the message stays: node-seal decrypts it, with the noise of SEAL’s own encryption', async (t) => {
  for (const level of [2, topLevel]) {
    const value = encrypted(level)
    const results = [0, 1, 2].map(() => leave(value, level, undefined, 0))
    const expected = publicEncryptionNoise(parameters)
    // Next to it, the noise of the encryption that comes in is small.
    for (const result of results) {
      const found = rms(noise(result, level))
      t.ok(Math.abs(found / expected - 1) < 0.1, `level ${level}: ${found}, by the model ${expected}`)
      // Without the division by one prime more there would be sixteen times as much.
      t.ok(found < slotDeviation(parameters, Math.sqrt(10.5 * (1 + (4 * ring) / 3))) / 8)
    }
    const seconds = results.map((result) => unpacked(result).c1)
    const same = seconds[0].filter((half, i) => i % 2 === 0 && half === seconds[1][i]).length
    t.ok(same < 5, 'each time anew')
  }
})

t.test('flooding: integers from -B to B, beyond one digit too', async (t) => {
  for (const bound of [1, 2 ** 29, 2 ** 31 + 12345, 2 ** 40 + 1]) {
    const level = topLevel
    const value = encrypted(level)
    const flooding = uniformIntegers(ring, bound)
    flooding.set([-bound, bound, 0])
    const found = rms(noise(leave(value, level, flooding, bound), level))
    const uniform = slotDeviation(parameters, Math.sqrt((bound * (bound + 1)) / 3))
    const expected = Math.hypot(uniform, publicEncryptionNoise(parameters))
    t.ok(Math.abs(found / expected - 1) < 0.1, `B = ${bound}: ${found}, expected ${expected}`)
  }
})

t.test('keys are of one level each, and freed', async (t) => {
  const { used } = heap
  const more = await OutputKeys.load(context, reader, [1, 1, 3])
  t.equal(heap.used - used, 2 * limbBytes * (divisorOf(1) + 1 + divisorOf(3) + 1))
  more.free()
  t.equal(heap.used, used)
  t.equal(heap.words(ones, 1)[0], Number(2n ** 32n % parameters.primes[0]), 'and nothing else is touched')
})
