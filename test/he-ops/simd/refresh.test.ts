import t from 'tap'
import { verifyCircuit } from '../../../src/circuit/verify.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { execute } from '../../../src/he-ops/executor.ts'
import { secretPolynomial, secretResidues } from '../../../src/he-ops/seal/keys.ts'
import { RestrictedContexts } from '../../../src/he-ops/seal/restricted-contexts.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import { Lifter, SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { Masks } from '../../../src/he-ops/simd/refresh/mask.ts'
import { bytesSource, type FullRlwe } from '../../../src/wire/index.ts'
import { refreshedCircuit } from './circuits.ts'
import { newSimdContext, simdFixture } from './fixture.ts'

const circuit = refreshedCircuit()
const { parameters } = circuit
const { ring, slots, topLevel } = parameters
const LEVEL = circuit.refresh!.level
const fixture = await simdFixture(parameters, [7])
t.teardown(() => fixture.delete())
const x = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1))
const y = Float64Array.from({ length: slots }, (_, s) => Math.cos(5 * s) - 0.25)
const inputs = [x, y].map((v) => fixture.packed(fixture.encrypt(v, topLevel, circuit.input.scale), topLevel))

/** The client's half, on kernels of its own. */
async function client() {
  const contexts = new RestrictedContexts(fixture.ctx.seal, parameters)
  const key = await KernelKey.create(contexts, secretPolynomial(fixture.ctx, fixture.secretKey))
  contexts.delete()
  return (masked: readonly FullRlwe[]) => key.refresh(masked, LEVEL, topLevel)
}

t.test('the circuit is lawful, and its masks are as small as may be', async (t) => {
  verifyCircuit(circuit)
  const { refresh } = circuit
  t.throws(() => verifyCircuit({ ...circuit, refresh: { ...refresh!, maskBits: refresh!.maskBits - 1 } }), {
    code: 'CONFIG_INVALID',
  })
  t.throws(() => verifyCircuit({ ...circuit, refresh: { ...refresh!, maskBits: 89 } }), {
    code: 'LEVEL_EXHAUSTED',
  })
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
      const expected = clear.decrypt(
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
        session.run(inputs, {}, async (_, masked) => refresh(masked).slice(1)),
        { code: 'TENSOR_MALFORMED' },
        'too few ciphertexts come back',
      )
      const again = await session.run(inputs, {}, async (_, masked) => refresh(masked))
      t.ok(fixture.decryptPair(again, level, scale).every((value, s) => Math.abs(value - expected[s]) < 0.05))
    },
  )
}

t.test('what the client decrypts in a round tells nothing of the message', async (t) => {
  const engine = await SimdEngine.create({ threads: 1 })
  t.teardown(() => engine.close())
  const session = await engine.open(circuit, engine.newKeySet(parameters), bytesSource(fixture.keySet))
  const context = await newSimdContext(parameters)
  const lifter = new Lifter(context, secretResidues(fixture.ctx, fixture.secretKey), LEVEL)
  const seen: bigint[][] = []
  const half = await client()
  const run = () =>
    session.run(inputs, {}, async (round, masked) => {
      if (round === 0) seen.push(integers(context, lifter.lift(masked[0])))
      return half(masked)
    })
  await run()
  await run()
  const bits = BigInt(circuit.refresh!.maskBits)
  const bound = 2n ** (bits - 1n)
  const [first, second] = seen
  const slack = 2n ** 40n
  t.ok(
    first.every((v) => v >= -bound - slack && v <= bound + slack),
    'within the mask',
  )
  t.ok(
    first.every((v, i) => v !== second[i]),
    'each run has masks of its own',
  )
  // Thirty-two cells of equal chance: the chi-squared statistic has mean 31 and deviation 7.9.
  const cells = new Array<number>(32).fill(0)
  for (const v of first) {
    const cell = Number(((v + bound) * 32n) / (2n * bound))
    cells[Math.min(31, Math.max(0, cell))]++
  }
  const expected = ring / 32
  const chi = cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
  t.ok(chi < 31 + 5 * 7.9, `uniform: chi-squared ${chi.toFixed(1)} of 31`)
  // The low bits too, which masks by way of doubles would leave bare.
  const ones = first.filter((v) => (v & 1n) === 1n).length
  t.ok(Math.abs(ones - ring / 2) < 5 * Math.sqrt(ring / 4), `${ones} of ${ring} are odd`)
})

t.test(
  'masks are exact: added and taken off modulo every prime, and drawn from the whole range',
  async (t) => {
    const context = await newSimdContext(parameters)
    const bits = 75
    const masks = new Masks(context, bits)
    const mask = masks.draw()
    const polynomial = context.heap.allocate(context.limbBytes * 6)
    const original = Uint32Array.from({ length: ring * 6 }, (_, i) => (i * 48271) % 2 ** 27)
    context.heap.words(polynomial, original.length).set(original)
    masks.apply('add', mask, polynomial, 6)
    const zero = context.heap.allocate(context.limbBytes * 6)
    context.heap.words(zero, ring * 6).fill(0)
    masks.apply('add', mask, zero, 6)
    const values = integers(context, context.heap.words(zero, ring * 6).slice())
    const expected = (i: number): bigint => {
      const digit = (k: number) => BigInt(mask[k * ring + i])
      return digit(0) + (digit(1) << 30n) + (digit(2) << 60n) - 2n ** BigInt(bits - 1)
    }
    t.ok(values.every((value, i) => value === expected(i)))
    t.ok(values.some((value) => value > 2n ** 73n) && values.some((value) => value < -(2n ** 73n)))
    masks.apply('subtract', mask, polynomial, 6)
    t.ok(
      Buffer.from(context.heap.words(polynomial, original.length).slice().buffer).equals(
        Buffer.from(original.buffer),
      ),
    )
    t.notOk(Buffer.from(masks.draw().buffer).equals(Buffer.from(mask.buffer)))
  },
)

/** Integers of least absolute value from residues in NTT form modulo all data primes, by exact CRT. */
function integers(context: Awaited<ReturnType<typeof newSimdContext>>, residues: Uint32Array): bigint[] {
  const { heap, kernels, moduli, limbBytes } = context
  const at = heap.allocate(limbBytes)
  const limbs = parameters.primes.map((_, i) => {
    heap.words(at, ring).set(residues.subarray(i * ring, (i + 1) * ring))
    const { backward, quotients, q, inverseSize, last } = moduli[i]
    const { w, quotient } = inverseSize
    kernels.nttInverse(at, backward, quotients, ring, q, w, quotient, last.w, last.quotient)
    return heap.words(at, ring).slice()
  })
  heap.free(at)
  const modulus = parameters.primes.reduce((product, prime) => product * prime, 1n)
  const units = parameters.primes.map((prime) => {
    const rest = modulus / prime
    let inverse = 1n
    for (let e = prime - 2n, b = rest % prime; e > 0n; e >>= 1n, b = (b * b) % prime) {
      if (e & 1n) inverse = (inverse * b) % prime
    }
    return rest * inverse
  })
  return Array.from({ length: ring }, (_, k) => {
    const value = units.reduce((sum, unit, i) => sum + unit * BigInt(limbs[i][k]), 0n) % modulus
    return value > modulus / 2n ? value - modulus : value
  })
}
