import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { openSimdSession } from '../../../../src/he-ops/engines/simd-session.ts'
import { newFloodingKeys } from '../../../../src/he-ops/flooding.ts'
import { SimdEngine } from '../../../../src/he-ops/simd/index.ts'
import { bytesSource } from '../../../../src/wire/index.ts'
import { rotatingCircuit, simdParameters } from '../../../server/rotating-circuit.ts'
import { SealedClient } from '../../../server/sealed-client.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Whether an object is collected after some garbage collections with idle time between them. */
async function isCollected(ref: WeakRef<object>): Promise<boolean> {
  for (let attempt = 0; attempt < 20; attempt++) {
    await sleep(1)
    collect()
    if (ref.deref() === undefined) return true
  }
  return false
}

t.test('an open session holds nothing of its circuit, and another object brings it again', async (t) => {
  const known = rotatingCircuit('small', 4)
  const { circuit, manifest } = known
  const client = await SealedClient.create(known)
  const keySet = await client.keySet()
  const engine = await SimdEngine.create({ threads: 2 })
  t.teardown(() => engine.close())
  t.teardown(() => client.delete())
  const identity = {}
  const keys = engine.newKeySet(simdParameters)
  const opened = async () => {
    const own = structuredClone({ ops: circuit.ops, constants: circuit.constants })
    const read = { ...circuit, ...own }
    const source = bytesSource(keySet)
    const session = await openSimdSession(engine, {
      circuit: read,
      manifest,
      keys,
      source,
      floodingKeys: newFloodingKeys(),
      identity,
    })
    return { session, parts: [read, own.ops, own.constants].map((part) => new WeakRef<object>(part)) }
  }
  const first = await opened()
  const { constants } = first.session.memory
  for (const part of first.parts) t.ok(await isCollected(part))
  const second = await opened()
  for (const { session } of [first, second]) {
    t.equal(session.memory.constants, constants, 'constants are encoded once')
    t.ok(client.errorOf(await session.infer(client.query(manifest)), known) < 0.01)
  }
})
