import t from 'tap'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { refreshFailure, refreshModulusBits } from '../../../src/circuit/refresh.ts'
import type { Op } from '../../../src/circuit/types.ts'
import { verifyCircuit } from '../../../src/circuit/verify.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { execute } from '../../../src/he-ops/executor.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys/index.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { bytesSource, type PackedFullRlwe } from '../../../src/wire/index.ts'
import { refreshed } from '../../support/refreshed.ts'
import { mod, secretResidues, transforms } from '../seal/exact.ts'
import { refreshedCircuit } from './circuits.ts'
import { simdFixture, unpacked } from './fixture.ts'

// The test checks every slot of the result.
const period = 4096
const circuit = refreshedCircuit({ period })
const { parameters } = circuit
const { ring, slots, topLevel } = parameters
const LEVEL = circuit.refresh!.level
const fixture = await simdFixture(parameters, [6], { conjugation: true })
t.teardown(() => fixture.delete())
const x = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const y = Float64Array.from({ length: slots }, (_, s) => Math.cos(5 * s) - 0.25)
const inputs = [x, y].map((v) => fixture.packed(fixture.encrypt(v, topLevel, circuit.input.scale), topLevel))

/** The client's part, on kernels of its own. */
async function client() {
  const key = await KernelKey.create(parameters, secretPolynomial(fixture.ctx, fixture.secretKey))
  return (masked: readonly PackedFullRlwe[]) => refreshed(key, masked, LEVEL, topLevel)
}

t.test('the circuit is lawful, and its refresh level has the modulus that it needs', async (t) => {
  verifyCircuit(circuit)
  // 90 bits, and three ciphertexts at scales of 26 and 22 bits: 2^27 * 16 * sqrt(2 N), N being 2^13, is 2^38.
  t.ok(Math.abs(refreshFailure(circuit) - (38 - 90)) < 0.2, `2^${refreshFailure(circuit)}`)
  t.equal(refreshFailure({ ...circuit, refresh: undefined }), Number.NEGATIVE_INFINITY)
  const scale = 2 ** 50
  const ops = circuit.ops.map((op) => ({ ...op, scale: op.scale * (op.kind === 'rescale' ? 1 : 1) }))
  t.throws(() => verifyCircuit({ ...circuit, ops, refresh: { level: 1 } }), { code: 'CONFIG_INVALID' })
  t.ok(refreshModulusBits({ ...circuit, ops: [{ ...circuit.ops[5], scale } as Op] }) > 90)
  t.throws(() => verifyCircuit({ ...circuit, refresh: undefined }), { code: 'CONFIG_INVALID' })
  const early = circuit.ops.map((op) => (op.kind === 'refresh' && op.round === 1 ? { ...op, round: 0 } : op))
  t.throws(() => verifyCircuit({ ...circuit, ops: early }), {
    code: 'CONFIG_INVALID',
    message: /depends on itself/,
  })
})

for (const threads of [1, 2]) {
  t.test(
    `a circuit with two rounds on ${threads} threads computes what the clear backend says`,
    async (t) => {
      const engine = await SimdEngine.create({ threads })
      t.teardown(() => engine.close())
      const session = await engine.open(circuit, engine.newKeySet(parameters), bytesSource(fixture.keySet))
      const refresh = await client()
      const counts: number[] = []
      const answer = await session.run(inputs, {}, async (round, masked) => {
        counts[round] = masked.length
        return refresh(masked)
      })
      t.strictSame(counts, [2, 1])
      const { level, scale } = circuit.output
      const found = fixture.decryptPair(answer, level, scale)
      const clear = createClearEvaluator(circuit)
      const { real: expected } = clear.decrypt(
        execute(
          circuit,
          clear,
          [x, y].map((v) => clear.encrypt(v, topLevel, circuit.input.scale)),
        ),
      )
      const worst = expected.reduce((most, value, s) => Math.max(most, Math.abs(value - found[s])), 0)
      t.ok(worst < 0.05, `largest error ${worst}`)
      t.ok(expected.some((value) => Math.abs(value) > 1))
      await t.rejects(session.run(inputs), { code: 'CONFIG_INVALID' }, 'nobody to refresh')
      await t.rejects(
        session.run(inputs, {}, async (_, masked) => (await refresh(masked)).slice(1)),
        { code: 'TENSOR_MALFORMED' },
        'too few ciphertexts come back',
      )
      const again = await session.run(inputs, {}, async (_, masked) => refresh(masked))
      t.ok(fixture.decryptPair(again, level, scale).every((value, s) => Math.abs(value - expected[s]) < 0.05))
    },
  )
}

t.test(
  'rounds overlap: one is sent while another is waited for, and they are taken in in any order',
  async (t) => {
    const overlapping = refreshedCircuit({ overlapping: true, period })
    const engine = await SimdEngine.create({ threads: 2 })
    t.teardown(() => engine.close())
    const session = await engine.open(overlapping, engine.newKeySet(parameters), bytesSource(fixture.keySet))
    const refresh = await client()
    const { level, scale } = overlapping.output
    const clear = createClearEvaluator(overlapping)
    const encrypted = [x, y].map((v) => clear.encrypt(v, topLevel, overlapping.input.scale))
    const { real: expected } = clear.decrypt(execute(overlapping, clear, encrypted))
    const isRight = (answer: PackedFullRlwe): boolean =>
      fixture.decryptPair(answer, level, scale).every((value, s) => Math.abs(value - expected[s]) < 0.05)

    const events: string[] = []
    const second = Promise.withResolvers<void>()
    const answer = await session.run(inputs, {}, async (round, masked) => {
      events.push(`${round} leaves`)
      if (round === 0) await second.promise
      const fresh = await refresh(masked)
      events.push(`${round} is back`)
      if (round === 1) second.resolve()
      return fresh
    })
    t.strictSame(events, ['0 leaves', '1 leaves', '1 is back', '0 is back', '2 leaves', '2 is back'])
    t.ok(isRight(answer))

    events.length = 0
    const inOrder = await session.run(inputs, { overlap: false }, async (round, masked) => {
      events.push(`${round} leaves`)
      const fresh = await refresh(masked)
      events.push(`${round} is back`)
      return fresh
    })
    t.strictSame(events, ['0 leaves', '0 is back', '1 leaves', '1 is back', '2 leaves', '2 is back'])
    t.ok(isRight(inOrder))

    const failing = session.run(inputs, {}, async (round, masked) => {
      if (round === 1) throw new Error('gone')
      return refresh(masked)
    })
    await t.rejects(failing, { message: 'gone' }, 'a round that fails ends the run, and not the process')
    t.ok(
      isRight(await session.run(inputs, {}, async (_, masked) => refresh(masked))),
      'which can be run again',
    )
  },
)

t.test('while a client is waited for, the engine runs for another one', async (t) => {
  const engine = await SimdEngine.create({ threads: 2 })
  t.teardown(() => engine.close())
  const open = () => engine.open(circuit, engine.newKeySet(parameters), bytesSource(fixture.keySet))
  const [slow, quick] = [await open(), await open()]
  const refresh = await client()
  const away = Promise.withResolvers<void>()
  const { level, scale } = circuit.output
  const waiting = slow.run(inputs, {}, async (_, masked) => {
    await away.promise
    return refresh(masked)
  })
  const second = slow.run(inputs, {}, async (_, masked) => refresh(masked))
  const others = await quick.run(inputs, {}, async (_, masked) => refresh(masked))
  let isOver = false
  second.then(() => {
    isOver = true
  })
  await quick.run(inputs, {}, async (_, masked) => refresh(masked))
  t.notOk(isOver, 'runs of one session follow one another')
  away.resolve()
  const found = [await waiting, await second, others].map((pair) => fixture.decryptPair(pair, level, scale))
  const [first] = found
  t.ok(first.some((value) => Math.abs(value) > 1))
  for (const values of found) t.ok(values.every((value, s) => Math.abs(value - first[s]) < 0.05))
})

const secrets = secretResidues(fixture.ctx, fixture.secretKey)

/**
 * What the client decrypts, and what a public-key encryption's second polynomial is: integers by exact CRT.
 */
function decrypted(masked: PackedFullRlwe): bigint[] {
  const { c0, c1 } = unpacked(masked)
  const low = parameters.primes.slice(0, LEVEL + 1)
  const limbs = low.map((prime, i) => {
    const phase = secrets(i).map((s, b) => {
      const at = 2 * (i * ring + b)
      return mod(BigInt(c0[at]) + BigInt(c1[at]) * s, prime)
    })
    return transforms(ring, prime).inverse(phase)
  })
  return centred(limbs, low)
}

/** Integers of least absolute value with these residues. */
function centred(limbs: readonly (readonly bigint[])[], primes: readonly bigint[]): bigint[] {
  const modulus = primes.reduce((product, prime) => product * prime, 1n)
  const units = primes.map((prime) => {
    const rest = modulus / prime
    return rest * powMod(rest % prime, prime - 2n, prime)
  })
  return Array.from({ length: ring }, (_, k) => {
    const value = units.reduce((sum, unit, i) => sum + unit * mod(limbs[i][k], primes[i]), 0n) % modulus
    return value > modulus / 2n ? value - modulus : value
  })
}

/**
 * Largest chi-squared of 32 cells of equal probability that hundreds of tests may reach by chance; mean 31,
 * standard deviation 7.9.
 */
const UNIFORM = 31 + 9 * 7.9

function chiSquared(cellOf: (i: number) => number, count: number): number {
  const cells = new Array<number>(32).fill(0)
  for (let i = 0; i < count; i++) cells[cellOf(i)]++
  return cells.reduce((sum, n) => sum + (n - count / 32) ** 2 / (count / 32), 0)
}

/** Masked ciphertexts of the first round, of several runs. */
async function maskedOf(threads: number, runs: number): Promise<PackedFullRlwe[][]> {
  const engine = await SimdEngine.create({ threads })
  t.teardown(() => engine.close())
  const session = await engine.open(circuit, engine.newKeySet(parameters), bytesSource(fixture.keySet))
  const half = await client()
  const seen: PackedFullRlwe[][] = []
  for (let run = 0; run < runs; run++) {
    await session.run(inputs, {}, async (round, masked) => {
      if (round === 0) seen.push([...masked])
      return half(masked)
    })
  }
  return seen
}

for (const threads of [1, 2]) {
  t.test(
    `the client's decrypted values are independent of the message, with ${threads} threads`,
    async (t) => {
      const seen = (await maskedOf(threads, 2)).flat().map(decrypted)
      const low = parameters.primes.slice(0, LEVEL + 1)
      const modulus = low.reduce((product, prime) => product * prime, 1n)
      t.equal(seen.length, 4)
      for (const values of seen) {
        const top = chiSquared((i) => Number((mod(values[i], modulus) * 32n) / modulus), ring)
        t.ok(top < UNIFORM, `the highest bits are uniform: ${top.toFixed(1)}`)
        // The lower bits too, down to the lowest ones.
        for (const shift of [0n, 13n, 28n, 43n, 58n]) {
          const chi = chiSquared((i) => Number((mod(values[i], modulus) >> shift) & 31n), ring)
          t.ok(chi < UNIFORM, `bits from ${shift} on are uniform: ${chi.toFixed(1)}`)
        }
        const next = chiSquared((i) => Number((values[i] ^ (values[(i + 1) % ring] * 5n)) & 31n), ring)
        t.ok(next < UNIFORM, `neighbours are independent: ${next.toFixed(1)}`)
        // One value in 128 is expected there: that a run has none has a chance of e^-32.
        const nearEnds = values.filter((v) => 2n * (v < 0n ? -v : v) > modulus - modulus / 128n).length
        t.ok(nearEnds > 0, `${nearEnds} values lie next to the ends of the range`)
      }
      for (let a = 0; a < 4; a++) {
        for (let b = 0; b < a; b++) {
          t.ok(
            seen[a].every((v, i) => v !== seen[b][i]),
            'each ciphertext of each run has a mask of its own',
          )
          const difference = (i: number): bigint => mod(seen[a][i] - seen[b][i], modulus)
          const chi = chiSquared((i) => Number((difference(i) * 32n) / modulus), ring)
          t.ok(chi < UNIFORM, `differences are uniform: ${chi.toFixed(1)}`)
        }
      }
    },
  )
}

t.test('second polynomials are re-randomised, each time anew', async (t) => {
  const seen = (await maskedOf(2, 2)).flat().map((pair) => unpacked(pair).c1)
  const [prime] = parameters.primes
  for (const polynomial of seen) {
    const chi = chiSquared((i) => Math.floor((polynomial[2 * i] * 32) / Number(prime)), ring)
    t.ok(chi < UNIFORM, `uniform: ${chi.toFixed(1)}`)
  }
  for (let a = 0; a < 4; a++) {
    for (let b = 0; b < a; b++) {
      const difference = (i: number): number =>
        (seen[a][2 * i] - seen[b][2 * i] + Number(prime)) % Number(prime)
      const chi = chiSquared((i) => Math.floor((difference(i) * 32) / Number(prime)), ring)
      t.ok(chi < UNIFORM, `so are differences: ${chi.toFixed(1)}`)
    }
  }
})
