import t from 'tap'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import { imageSlots, KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import type { RefreshClient } from '../../../src/he-ops/engine.ts'
import { openSealSession } from '../../../src/he-ops/engines/seal-session.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { collect } from '../../wire/fixtures.ts'
import { refreshedCircuit } from '../simd/circuits.ts'

const circuit = refreshedCircuit()
const manifest = manifestOf(circuit)
const ring = new KeyRing(memoryKeyStore())
t.teardown(() => ring.close())
const model = new LocalModel(manifest, ring)
const image = { shape: [3, 3, 5] as const, tensor: new Float64Array(45).fill(1) }
const honest: RefreshClient = async (round, masked, take) => take(await model.refresh(round, masked))

t.test(
  'after any failure of a client in a round the engine frees its memory and serves the next client',
  async (t) => {
    const engine = await SimdEngine.create({ threads: 1 })
    t.teardown(() => engine.close())
    const keys = engine.newKeySet(circuit.parameters)
    const session = await openSimdSession(engine, {
      circuit,
      manifest,
      keys,
      source: bytesSource(await collect(model.keySet())),
      floodingKeys: newFloodingKeys(),
    })
    const query = await model.encrypt(image)
    const first = await model.decrypt(await session.infer(query, {}, honest))
    t.ok(first.some((value) => Math.abs(value) > 1e-3))
    const { used, peak } = engine.memory

    const gone = new Error('gone')
    for (const last of [0, 1]) {
      const vanishing: RefreshClient = async (round, masked, take) => {
        if (round === last) throw gone
        await honest(round, masked, take)
      }
      await t.rejects(session.infer(query, {}, vanishing), gone, `the client fails in round ${last}`)
      t.equal(engine.memory.used, used)
    }
    await t.rejects(session.infer(query), { code: 'CONFIG_INVALID' }, 'there is no client')
    await t.rejects(
      session.infer(query, {}, async () => {}),
      { code: 'INTERNAL' },
      'the client does not reply',
    )
    const twice: RefreshClient = async (round, masked, take) => {
      await t.rejects(take(masked), { code: 'TENSOR_MALFORMED' })
      await honest(round, masked, take)
    }
    const again = await model.decrypt(await session.infer(query, {}, twice))
    t.ok(
      again.every((value, k) => Math.abs(value - first[k]) < 1e-3),
      'a wrong reply, followed by a correct one',
    )
    t.equal(engine.memory.used, used)
    t.equal(engine.memory.peak, peak)
  },
)

t.test('the client computes the rounds of the manifest, and checks the size of frames', async (t) => {
  t.strictSame(
    model.sizes.rounds.map(({ up, down }) => [up, down]),
    [2, 1].map((count) => {
      const limbs = (bits: number[]) => (8192 * bits.reduce((a, b) => a + b)) / 8
      return [
        48 + 16 + count * (limbs([30, 30, 30, 29, 28, 30]) + 68) + 32,
        48 + 16 + count * 2 * limbs([30, 30, 30]) + 32,
      ]
    }),
  )
  for (const round of [-1, 2, 0.5, Number.NaN]) {
    await t.rejects(model.refresh(round, new Uint8Array()), { code: 'CONFIG_INVALID' }, `round ${round}`)
  }
  await t.rejects(model.refresh(0, new Uint8Array(100)), { code: 'TENSOR_MALFORMED' })
})

t.test('limits apply to the sum of all rounds; the seal engine refuses rounds', async (t) => {
  const limits = (change: object) => () =>
    new LocalModel(manifest, ring, {
      maxKeyBytes: Infinity,
      maxQueryBytes: Infinity,
      maxResponseBytes: Infinity,
      maxUploadBytes: Infinity,
      maxDownloadBytes: Infinity,
      maxRoundBytes: Infinity,
      ...change,
    })
  const { query, response, rounds } = model.sizes
  const up = query + rounds[0].up + rounds[1].up
  const down = response + rounds[0].down + rounds[1].down
  t.doesNotThrow(limits({ maxUploadBytes: up, maxDownloadBytes: down }))
  t.throws(limits({ maxUploadBytes: up - 1 }), { code: 'TOO_LARGE', facts: { bytes: up } })
  t.throws(limits({ maxDownloadBytes: down - 1 }), { code: 'TOO_LARGE', facts: { bytes: down } })
  const largest = Math.max(...rounds.flatMap(({ up, down }) => [up, down]))
  t.doesNotThrow(limits({ maxRoundBytes: largest }))
  t.throws(limits({ maxRoundBytes: largest - 1 }), { code: 'TOO_LARGE', facts: { bytes: largest } })
  t.throws(() => openSealSession({} as never, {} as never, circuit, manifest, newFloodingKeys()), {
    code: 'CONFIG_INVALID',
  })
})

t.test('a closed ring loads its keys again when they are needed', async (t) => {
  const store = memoryKeyStore()
  const again = new KeyRing(store)
  const own = new LocalModel(manifest, again)
  const vectors = imageSlots(image.tensor, manifest.input, circuit.parameters.slots)
  t.equal(vectors.length, 2)
  const engine = await SimdEngine.create({ threads: 1 })
  t.teardown(() => engine.close())
  const session = await openSimdSession(engine, {
    circuit,
    manifest,
    keys: engine.newKeySet(circuit.parameters),
    source: bytesSource(await collect(own.keySet())),
    floodingKeys: newFloodingKeys(),
  })
  const answer = await session.infer(await own.encrypt(image), {}, async (round, masked, take) => {
    const refreshed = await own.refresh(round, masked)
    again.close()
    await take(refreshed)
  })
  t.equal((await own.decrypt(answer)).length, 3)
  again.close()
})
