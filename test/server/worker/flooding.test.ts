import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { circuitDigest, writeCircuit } from '../../../src/circuit/format/file.ts'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import { floodingKeysOf, newFloodingKey } from '../../../src/he-ops/flooding.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { ServedCircuit } from '../../../src/server/worker/circuits.ts'
import { SessionCache } from '../../../src/server/worker/session-cache.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { collect } from '../../wire/fixtures.ts'
import { rotatingCircuit } from '../rotating-circuit.ts'

const FLOODING = 8
/** Below the difference of two independent flooding noises, and above all other noise of the circuit. */
const SMALL = FLOODING / 100

t.test('the flooding noise of workers depends on the circuit’s file and on the key set', async (t) => {
  const { circuit: plain } = rotatingCircuit('rotating', 3)
  const circuit = {
    ...plain,
    output: { ...plain.output, flooding: FLOODING, bound: 100, tolerance: 100, precision: 4 },
  }
  const manifest = manifestOf(circuit)
  const file = writeCircuit(circuit)
  const path = join(t.testdir(), 'rotating.pvc')
  writeFileSync(path, file)
  const ring = new KeyRing(memoryKeyStore())
  const model = new LocalModel(manifest, ring)
  const keySet = await collect(model.keySet())
  const [channels, height, width] = circuit.input.image
  const tensor = new Float64Array(channels * height * width).fill(0.5)
  const query = await model.encrypt({ shape: circuit.input.image, tensor })
  const engine = await SimdEngine.create({ threads: 1 })
  t.teardown(async () => {
    await engine.close()
    ring.close()
  })

  const floodingKey = newFloodingKey()
  const settings = { keyBytes: 1e9, engineBytes: 2 ** 28, threads: 1, floodingKey }
  const keys = { name: 'key set', location: { bytes: keySet } }
  const served = await ServedCircuit.open({ path, digest: circuitDigest(file) })
  const infer = new SessionCache(settings).use(
    served,
    keys,
    { shouldStop: () => false, stopped: new Promise(() => {}) },
    (session) => session.infer(query),
  )
  const logitsOf = (frame: Uint8Array) => model.decrypt(frame, { fullPrecision: true })
  const answer = await logitsOf(await infer)

  /** Largest difference between the worker's answer and an answer with the flooding keys of these digests. */
  const distance = async (circuitDigest: Uint8Array, keySetDigest: Uint8Array): Promise<number> => {
    const session = await openSimdSession(engine, {
      circuit,
      manifest,
      keys: engine.newKeySet(circuit.parameters),
      source: bytesSource(keySet),
      floodingKeys: floodingKeysOf(floodingKey, circuitDigest, keySetDigest),
    })
    const other = await logitsOf(await session.infer(query))
    session.free()
    return Math.max(...other.map((logit, k) => Math.abs(logit - answer[k])))
  }
  // Both files end with their digest.
  const [ofFile, ofKeySet] = [file.slice(-32), keySet.slice(-32)]
  const own = await distance(ofFile, ofKeySet)
  t.ok(own < SMALL, `${own}`)
  const zero = new Uint8Array(32)
  for (const [circuitDigest, keySetDigest] of [
    [zero, ofKeySet],
    [ofFile, zero],
  ]) {
    const other = await distance(circuitDigest, keySetDigest)
    t.ok(other > SMALL, `${other} under another digest`)
  }
})
