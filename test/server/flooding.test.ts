import t, { type Test } from 'tap'
import type { Circuit } from '../../src/circuit/types.ts'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { engineNameFor } from '../../src/schedule/engine-name.ts'
import type { RunningServer } from '../../src/server/start.ts'
import { rotatingCircuit } from './rotating-circuit.ts'
import { serving } from './serving.ts'
import { circuit as sealCircuit } from './support.ts'

// The flooding noise of a query across the service: every worker adds the same noise, and so does a restarted
// service.

const FLOODING = 8
/** Below the difference of two independent flooding noises, and above all other noise of these circuits. */
const SMALL = FLOODING / 100

const flooded = (circuit: Circuit): Circuit => ({
  ...circuit,
  output: { ...circuit.output, flooding: FLOODING, bound: 100, tolerance: 100, precision: 4 },
})

/** Answers to one query, and the answer to a new encryption of its image. */
async function answers(t: Test, circuit: Circuit): Promise<{ same: Float64Array[]; anew: Float64Array }> {
  const directory = t.testdir()
  const keys = memoryKeyStore()
  let query: Uint8Array | undefined
  const [channels, height, width] = circuit.input.image
  const tensor = new Float64Array(channels * height * width).fill(0.5)
  const ask = async (server: RunningServer, count: number): Promise<Float64Array[]> => {
    // The connection stays open, because closing it would delete the key set.
    const polyveil = await connect(server.url, { keys })
    const { model } = circuit
    const image = { shape: circuit.input.image, tensor }
    const frame = query ?? (await polyveil.encrypt(model, image))
    query = frame
    const frames = await Promise.all(Array.from({ length: count }, () => polyveil.infer(model, frame)))
    return Promise.all(frames.map((answer) => polyveil.decrypt(model, answer, { fullPrecision: true })))
  }
  const first = await serving(t, circuit, { workers: 2, inferencesPerWorker: 1 }, directory)
  const before = await ask(first, 4)
  await first.close()
  const port = Number(new URL(first.url).port)
  const again = await serving(t, circuit, { workers: 1, port }, directory)
  const same = [...before, ...(await ask(again, 1))]
  query = undefined
  const [anew] = await ask(again, 1)
  return { same, anew }
}

for (const [backend, circuit] of [
  ['simd', rotatingCircuit('rotating', 3).circuit],
  ['seal', sealCircuit],
] as const) {
  t.test(`all workers add the same noise to a query, also after a restart: ${backend}`, async (t) => {
    t.equal(engineNameFor(circuit.parameters), backend)
    const { same, anew } = await answers(t, flooded(circuit))
    const [first, ...others] = same
    const distance = (other: Float64Array) => Math.max(...other.map((value, k) => Math.abs(value - first[k])))
    for (const other of others) t.ok(distance(other) < SMALL, `${distance(other)}`)
    t.ok(distance(anew) > SMALL, `${distance(anew)} for another query`)
  })
}
