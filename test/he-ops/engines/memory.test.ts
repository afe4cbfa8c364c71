import t from 'tap'
import { peakLiveBytes } from '../../../src/circuit/liveness.ts'
import { openSealSession } from '../../../src/he-ops/engines/seal-session.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { createSealContext } from '../../../src/he-ops/seal/context.ts'
import { loadKeySet } from '../../../src/he-ops/seal/keys/index.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { EngineMemoryExceeded, SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { switchingKeyBytes } from '../../../src/schedule/key-memory.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { rotatingCircuit, simdParameters } from '../../server/rotating-circuit.ts'
import { SealedClient } from '../../server/sealed-client.ts'

const small = rotatingCircuit('small', 8)
const large = rotatingCircuit('large', 24)
const client = await SealedClient.create(large)
const keySet = await client.keySet()
t.teardown(() => client.delete())
const FLOODING_KEY = newFloodingKeys()
const KEY = switchingKeyBytes(simdParameters)

t.test('a simd session states its memory before it runs, and stays within it', async (t) => {
  const engine = await SimdEngine.create({ threads: 2 })
  t.teardown(() => engine.close())
  const keys = engine.newKeySet(simdParameters)
  const session = await openSimdSession(engine, {
    ...small,
    keys,
    source: bytesSource(keySet),
    floodingKeys: FLOODING_KEY,
  })
  const { memory, threads } = session
  t.equal(threads, 2)
  t.equal(memory.keys, 8 * KEY, 'the part of the key set that the circuit needs')
  t.ok(memory.constants > 0 && memory.constants < 2 ** 16)
  const stated = memory.keys + memory.constants + memory.program
  t.ok(Math.abs(stated / small.circuit.estimate.memoryBytes - 1) < 0.15, `${stated} bytes, planned otherwise`)
  const { used, peak } = engine.memory
  t.ok(used >= stated && used < 1.15 * stated, `${used} bytes in use, ${stated} stated`)
  t.ok(client.errorOf(await session.infer(client.query(small.manifest)), small) < 0.01)
  t.same(engine.memory, { used, peak }, 'running needs no further memory')

  const more = await openSimdSession(engine, {
    ...large,
    keys,
    source: bytesSource(keySet),
    floodingKeys: FLOODING_KEY,
  })
  t.equal(more.memory.keys, 24 * KEY, 'sessions of a client share keys')
  const before = engine.memory.used
  session.free()
  t.ok(before - engine.memory.used >= memory.program, 'freeing a session frees its program')
})

t.test('an engine refuses a session that exceeds its memory, and stays unchanged', async (t) => {
  const limit = 16 * 2 ** 20
  const engine = await SimdEngine.create({ threads: 1, memoryBytes: limit })
  t.teardown(() => engine.close())
  const refused = async (): Promise<number> => {
    const keys = engine.newKeySet(simdParameters)
    const opening = openSimdSession(engine, {
      ...large,
      keys,
      source: bytesSource(keySet),
      floodingKeys: FLOODING_KEY,
    })
    await t.rejects(opening, { code: 'TOO_LARGE', facts: { limitBytes: limit } })
    await opening.catch((error) => t.type(error, EngineMemoryExceeded))
    keys.free()
    return engine.memory.used
  }
  const used = await refused()
  for (let again = 0; again < 3; again++) t.equal(await refused(), used, 'no memory is leaked')
  const keys = engine.newKeySet(simdParameters)
  const session = await openSimdSession(engine, {
    ...small,
    keys,
    source: bytesSource(keySet),
    floodingKeys: FLOODING_KEY,
  })
  t.ok(
    client.errorOf(await session.infer(client.query(small.manifest)), small) < 0.01,
    'a smaller circuit still runs',
  )
  t.ok(engine.memory.peak <= limit)
})

t.test('a program that does not fit beside its keys is refused', async (t) => {
  // Enough memory for 24 keys and the tables, but not for a program.
  const engine = await SimdEngine.create({ threads: 1, memoryBytes: 24 * KEY + 2 ** 20 })
  t.teardown(() => engine.close())
  const opening = openSimdSession(engine, {
    ...large,
    keys: engine.newKeySet(simdParameters),
    source: bytesSource(keySet),
    floodingKeys: FLOODING_KEY,
  })
  await t.rejects(opening, { code: 'TOO_LARGE' })
})

t.test('a seal session states its memory', async (t) => {
  const context = createSealContext(await loadSeal(), simdParameters)
  const keys = await loadKeySet(context, bytesSource(keySet), small.manifest.galoisElements)
  const session = openSealSession(context, keys, small.circuit, small.manifest, FLOODING_KEY)
  t.match(session.memory, { keys: keys.bytes, program: peakLiveBytes(small.circuit) })
  t.equal(session.threads, 1)
  session.free()
  context.delete()
})
