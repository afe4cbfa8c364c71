import t, { type Test } from 'tap'
import { logitCoefficients } from '../../../src/circuit/answer.ts'
import { secretPolynomial } from '../../../src/he-ops/seal/keys/index.ts'
import { compileCircuit, egressLevels } from '../../../src/he-ops/simd/circuit-program.ts'
import { ConstantStore } from '../../../src/he-ops/simd/constants/constant-store.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import { OutputKeys } from '../../../src/he-ops/simd/keys/output-key.ts'
import { CircuitSession } from '../../../src/he-ops/simd/session.ts'
import { ThreadPool } from '../../../src/he-ops/simd/threads/thread-pool.ts'
import { PairLoader } from '../../../src/he-ops/simd/values/pair-loader.ts'
import { SeedExpander } from '../../../src/he-ops/simd/values/seeds.ts'
import { bytesSource, openKeySet } from '../../../src/wire/index.ts'
import { refreshed } from '../../support/refreshed.ts'
import { refreshedCircuit } from './circuits.ts'
import { simdFixture } from './fixture.ts'

// What a run draws in secret stays in its memory no longer than the run takes.

const circuit = refreshedCircuit()
const { parameters } = circuit
const { ring, slots, topLevel } = parameters
const fixture = await simdFixture(parameters, [6], { conjugation: true })

const { context, keys } = fixture
const { heap, kernels } = context
const inputs = [0, 1].map((i) => {
  const values = Float64Array.from({ length: slots }, (_, s) => Math.sin(s + i))
  return fixture.packed(fixture.encrypt(values, topLevel, circuit.input.scale), topLevel)
})
const key = await KernelKey.create(parameters, secretPolynomial(fixture.ctx, fixture.secretKey))
t.teardown(() => {
  key.delete()
  fixture.delete()
})

/** A session whose program the test can look into. */
async function opened(t: Test) {
  const reader = await openKeySet(parameters, bytesSource(fixture.keySet))
  const outputKeys = await OutputKeys.load(context, reader, egressLevels(circuit))
  const constants = new ConstantStore(context, circuit.constants)
  const egress = { keys: outputKeys, logits: logitCoefficients(circuit), floodingBound: 2 ** 20 }
  const program = compileCircuit(context, circuit, keys, constants, 1, egress)
  const pool = await ThreadPool.create(heap.memory, kernels, 1)
  const loader = new PairLoader(context)
  const seeds = new SeedExpander(heap, kernels)
  const owned = new DisposableStack()
  for (const part of [outputKeys, constants, program, loader, seeds]) owned.defer(() => part.free())
  const session = new CircuitSession({ context, constants, program, loader, seeds, pool, owned }, (run) =>
    run(),
  )
  t.teardown(() => session.free())
  const { flooding, logits, level } = program.output!
  return {
    session,
    /** Words of the masks of a round. */
    masks: (round: number): Uint32Array[] =>
      program.refreshes[round].ingresses.map(({ mask, maskPrimes }) => heap.words(mask, ring * maskPrimes)),
    flooding: (): Uint32Array => heap.words(flooding, logits.count * (level + 1)),
  }
}

const others = (words: Uint32Array): number => words.filter((word) => word !== 0).length

t.test('a run that its client breaks off leaves zeros where its masks were', async (t) => {
  const { session, masks } = await opened(t)
  for (const broken of [0, 1]) {
    const running = session.run(inputs, {}, async (round, masked) => {
      const drawn = masks(round)
      t.ok(
        drawn.every((mask) => others(mask) > 0.99 * mask.length),
        `round ${round} has masks`,
      )
      if (round === broken) throw new Error('gone')
      return refreshed(key, masked, circuit.refresh!.level, topLevel)
    })
    await t.rejects(running, { message: 'gone' })
    t.strictSame(
      masks(broken).map(others),
      masks(broken).map(() => 0),
      `masks of round ${broken}`,
    )
  }
})

t.test('a run leaves neither masks nor flooding in memory', async (t) => {
  const { session, masks, flooding } = await opened(t)
  const samples: Buffer[] = []
  let drawn = 0
  await session.run(
    inputs,
    {
      flooding: (count) => new Float64Array(count).fill(12345),
      onProgress: () => {
        drawn = Math.max(drawn, others(flooding()))
      },
    },
    async (round, masked) => {
      for (const mask of masks(round)) {
        for (const at of [0, mask.length / 2, mask.length - 16]) {
          samples.push(Buffer.from(Uint8Array.from(new Uint8Array(mask.slice(at, at + 16).buffer))))
        }
      }
      return refreshed(key, masked, circuit.refresh!.level, topLevel)
    },
  )
  t.ok(drawn > 0, 'while it runs there is flooding')
  t.equal(others(flooding()), 0, 'afterwards there is none')
  t.equal(samples.length, 9)
  const memory = Buffer.from(heap.memory.buffer)
  t.equal(samples.filter((sample) => memory.includes(sample)).length, 0, 'pieces of masks')
})
