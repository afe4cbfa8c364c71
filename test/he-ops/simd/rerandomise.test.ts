import t from 'tap'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { publicEncryptionNoise, slotDeviation } from '../../../src/he-ops/noise.ts'
import { uniformIntegers } from '../../../src/he-ops/random.ts'
import {
  allocateFlooding,
  egressScratch,
  emitOutput,
  type Output,
  readEgress,
  writeFlooding,
} from '../../../src/he-ops/simd/egress.ts'
import { divisorOf, OutputKeys } from '../../../src/he-ops/simd/keys/output-key.ts'
import { emitMasked } from '../../../src/he-ops/simd/operations/rerandomise.ts'
import { montgomery } from '../../../src/he-ops/simd/tables/modulus.ts'
import { linkProgram, runProgram } from '../../../src/he-ops/simd/threads/run.ts'
import { PairLoader } from '../../../src/he-ops/simd/values/pair-loader.ts'
import { polynomialBytes, type Value } from '../../../src/he-ops/simd/values/values.ts'
import {
  bytesSource,
  type FullRlwe,
  openKeySet,
  type PackedFullRlwe,
  type SeededRlwe,
} from '../../../src/wire/index.ts'
import { slowBinomial, slowResidues, slowTernary } from '../kernels/slow-sampling.ts'
import { centred, expanded, mod, secretResidues, transforms } from '../seal/exact.ts'
import { parameters } from './circuits.ts'
import { halves, holdsPiece, simdFixture, unpacked } from './fixture.ts'

// Re-randomising by the kernels, compared with its definition in bigint arithmetic and with node-seal's
// decryption.

const { ring, slots, topLevel } = parameters
const fixture = await simdFixture(parameters, [])
t.teardown(() => fixture.delete())
const { context } = fixture
const { heap, limbBytes, moduli, ones, kernels } = context
const SCALE = 2 ** 40
const LEVELS = [0, 2, topLevel]
const reader = await openKeySet(parameters, bytesSource(fixture.keySet))
const keys = await OutputKeys.load(context, reader, LEVELS)
const scratch = egressScratch(context, LEVELS, [])
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

const secrets = secretResidues(fixture.ctx, fixture.secretKey)

/** A value's residues as the pair that is sent. */
function readPair({ polynomials, primes }: Value): FullRlwe {
  const [c0, c1] = polynomials.map((address) => halves(heap.words(address, ring * primes)))
  return { c0, c1 }
}

/** c0 + c1 s as coefficients modulo each prime of a level. */
const phase = ({ c0, c1 }: FullRlwe, level: number): bigint[][] =>
  parameters.primes.slice(0, level + 1).map((prime, i) =>
    transforms(ring, prime).inverse(
      secrets(i).map((s, b) => {
        const at = 2 * (i * ring + b)
        return mod(BigInt(c0[at]) + BigInt(c1[at]) * s, prime)
      }),
    ),
  )

const noise = (pair: PackedFullRlwe, level: number): Float64Array =>
  fixture.decryptPair(pair, level, SCALE).map((value, s) => (value - message[s]) * SCALE)

const rms = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)

/** Runs a body and records the platform's random bytes. */
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

for (const level of LEVELS) {
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
        const address = builder.allocate(limbBytes * value.primes)
        out = [builder.allocate(limbBytes * value.primes), builder.allocate(limbBytes * value.primes)]
        emitMasked(builder, context, [{ value, key: keys.at(level), mask: { address }, out }])
      })
      const drawn = recorded(() => runProgram(linked.program, context))
      const found = unpacked(readEgress(context, out, level))
      linked.free()
      // u; the first polynomial's errors and its mask, prime by prime in halves; the second polynomial's
      // errors.
      t.equal(drawn.length, 3 + 2 * primes.length)
      const u = Array.from(slowTernary(drawn[0], ring), (word) => BigInt(word) - 1n)
      const masks = primes.map((prime, i) =>
        [0, 1].flatMap((half) => {
          const words = new BigUint64Array(drawn[2 + 2 * i + half].buffer)
          return Array.from(slowResidues(words, ring / 2, Number(prime)), BigInt)
        }),
      )
      const errors = [drawn[1], drawn[2 + 2 * primes.length]].map((bytes) =>
        Array.from(slowBinomial(bytes, ring), (word) => BigInt(word) - 21n),
      )
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
            mod((value - remainder[k]) * inverse + (p === 0 ? masks[i][k] : 0n), prime),
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

t.test('the errors of both polynomials are added before the division', async (t) => {
  // The division rounds errors away, but next to half of the divisor an error decides. With half of the
  // divisor as both polynomials of the key, a coefficient is 1 where u is 1 and the error is above 0, and -1
  // where both are below.
  const level = 1
  const divisor = moduli[divisorOf(level)].prime
  const half = (divisor - 1n) / 2n
  const limbs = moduli.slice(0, level + 2).flatMap(({ prime }, i) => {
    const scaled = i <= level ? half * powMod(divisor % prime, prime - 2n, prime) : half
    return Array<number>(ring).fill(montgomery(scaled, prime))
  })
  const polynomial = heap.allocate(limbBytes * (level + 2))
  heap.words(polynomial, limbs.length).set(limbs)
  const key = { level, polynomials: [polynomial, polynomial] } as const
  const blank = new Uint32Array(ring * (level + 1))
  const value = valueAt(level, [blank, blank])
  const mask = heap.allocate(limbBytes * (level + 1))
  let out: readonly [number, number] = [0, 0]
  const linked = linkProgram(context, 1, scratch, (builder) => {
    out = [builder.allocate(limbBytes * value.primes), builder.allocate(limbBytes * value.primes)]
    emitMasked(builder, context, [{ value, key, mask: { address: mask }, out }])
  })
  const drawn = recorded(() => runProgram(linked.program, context))
  const found = unpacked(readEgress(context, out, level))
  linked.free()
  const u = Array.from(slowTernary(drawn[0], ring), (word) => word - 1)
  const errors = [drawn[1], drawn[2 + 2 * value.primes]].map((bytes) =>
    Array.from(slowBinomial(bytes, ring), (word) => word - 21),
  )
  for (const [p, residues] of [found.c0, found.c1].entries()) {
    const expected = u.map((sign, k) => (sign * errors[p][k] > 0 ? sign : 0))
    for (let i = 0; i <= level; i++) {
      const { prime } = moduli[i]
      const words = Array.from({ length: ring }, (_, b) => BigInt(residues[2 * (i * ring + b)]))
      const masks = heap.words(mask + i * limbBytes, ring)
      const wrong = transforms(ring, prime)
        .inverse(words)
        .findIndex((c, k) => centred(p === 0 ? c - BigInt(masks[k]) : c, prime) !== BigInt(expected[k]))
      t.equal(wrong, -1, `polynomial ${p} modulo prime ${i}`)
    }
    const ones = expected.filter((coefficient) => coefficient !== 0).length
    t.ok(ones > 0.2 * ring, `${ones} coefficients depend on an error`)
  }
})

t.test('scratch memory keeps nothing that would undo re-randomising', async (t) => {
  const level = 2
  const value = encrypted(level)
  const drawn = recorded(() => leave(value, level, new Float64Array(16)))
  const sampled = slowTernary(drawn[0], ring)
  const u = Array.from(sampled, (word) => BigInt(word) - 1n)
  t.notOk(holdsPiece(heap.memory, sampled), 'coefficients of u')
  for (const { prime } of moduli.slice(0, divisorOf(level) + 1)) {
    const residues = Uint32Array.from(transforms(ring, prime).forward(u), Number)
    t.notOk(holdsPiece(heap.memory, residues), `u modulo ${prime}`)
  }
  t.equal(drawn.length, 3 + 2 * (level + 1))
  for (const bytes of [drawn[1], drawn[drawn.length - 1]]) {
    t.notOk(holdsPiece(heap.memory, slowBinomial(bytes, ring)), 'an error')
  }
  for (const bytes of drawn) {
    t.notOk(holdsPiece(heap.memory, new Uint32Array(bytes.slice(0, 1024).buffer)), 'random bytes')
  }
})

/**
 * Sends values as results are sent.
 * @param flooding integers for the coefficients that carry logits
 */
function leave(value: Value, level: number, flooding: Float64Array): PackedFullRlwe {
  const logits = { stride: ring / flooding.length, count: flooding.length }
  const egress = { keys, logits, floodingBound: 0 }
  let output: Output | undefined
  const linked = linkProgram(context, 1, scratch, (builder) => {
    output = emitOutput(builder, context, egress, value, allocateFlooding(builder, egress, level))
  })
  writeFlooding(context, output!, flooding)
  runProgram(linked.program, context)
  const result = readEgress(context, output!.packed, level)
  linked.free()
  return result
}

t.test('the message stays: node-seal decrypts it, with the noise of SEAL’s own encryption', async (t) => {
  for (const level of [2, topLevel]) {
    const value = encrypted(level)
    const results = [0, 1, 2].map(() => leave(value, level, new Float64Array(ring)))
    const expected = publicEncryptionNoise(parameters)
    // The noise of the incoming encryption is small next to it.
    for (const result of results) {
      const found = rms(noise(result, level))
      t.ok(Math.abs(found / expected - 1) < 0.1, `level ${level}: ${found}, by the model ${expected}`)
      // Without the division by one more prime there would be sixteen times as much.
      t.ok(found < slotDeviation(parameters, Math.sqrt(10.5 * (1 + (4 * ring) / 3))) / 8)
    }
    const seconds = results.map((result) => unpacked(result).c1)
    const same = seconds[0].filter((half, i) => i % 2 === 0 && half === seconds[1][i]).length
    t.ok(same < 5, 'each time anew')
  }
})

t.test('flooding: integers from -B to B, larger than a prime too', async (t) => {
  for (const bound of [1, 2 ** 29, 2 ** 31 + 12345, 2 ** 40 + 1]) {
    const level = topLevel
    const value = encrypted(level)
    const flooding = uniformIntegers(ring, bound)
    flooding.set([-bound, bound, 0])
    const found = rms(noise(leave(value, level, flooding), level))
    const uniform = slotDeviation(parameters, Math.sqrt((bound * (bound + 1)) / 3))
    const expected = Math.hypot(uniform, publicEncryptionNoise(parameters))
    t.ok(Math.abs(found / expected - 1) < 0.1, `B = ${bound}: ${found}, expected ${expected}`)
  }
})

t.test('coefficients that carry no logits are masked, and the others get the given integers', async (t) => {
  const level = 2
  const value = encrypted(level)
  const flooding = Float64Array.from({ length: 16 }, (_, k) => (k - 8) * 2 ** 30)
  const stride = ring / 16
  const before = phase(readPair(value), level)
  const primes = parameters.primes.slice(0, level + 1)
  const seen = [0, 1].map(() => phase(unpacked(leave(value, level, flooding)), level))
  // Re-randomising adds the noise of an encryption: some tens.
  seen.forEach((values) => {
    flooding.forEach((integer, k) => {
      const added = centred(values[0][k * stride] - before[0][k * stride], primes[0])
      const expected = centred(BigInt(integer), primes[0])
      const rest = centred(added - expected, primes[0])
      t.ok(rest > -500n && rest < 500n, `coefficient ${k * stride}: ${rest} beside the integer`)
    })
  })
  primes.forEach((prime, i) => {
    const chi = (of: (k: number) => bigint): number => {
      const cells = new Array<number>(32).fill(0)
      for (let k = 0; k < ring; k++) if (k % stride !== 0) cells[Number((mod(of(k), prime) * 32n) / prime)]++
      const expected = (ring - 16) / 32
      return cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
    }
    for (const values of seen) t.ok(chi((k) => values[i][k]) < 31 + 7 * 7.9, `uniform modulo prime ${i}`)
    t.ok(chi((k) => seen[0][i][k] - seen[1][i][k]) < 31 + 7 * 7.9, 'each time anew')
  })
})

t.test('keys are of one level each, and freed', async (t) => {
  const { used } = heap
  const more = await OutputKeys.load(context, reader, [1, 1, 3])
  t.equal(heap.used - used, 2 * limbBytes * (divisorOf(1) + 1 + divisorOf(3) + 1))
  more.free()
  t.equal(heap.used, used)
  t.equal(heap.words(ones, 1)[0], Number(2n ** 32n % parameters.primes[0]), 'and nothing else is touched')
})
