import t, { type Test } from 'tap'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import { type FloodingKeys, floodingKeysOf, newFloodingKey } from '../../../src/he-ops/flooding.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { rotatingCircuit } from '../../server/rotating-circuit.ts'
import { collect } from '../../wire/fixtures.ts'
import { refreshedCircuit } from '../simd/circuits.ts'

// Two answers to one query differ by what was drawn anew in between: by the client, which knows it, and
// multiplied by weights. That difference must carry flooding, or two answers would tell what takes thousands
// to average out of single ones.

const FLOODING = 8
/** Less than flooding by chance, and more than all other noise of these circuits. */
const SMALL = FLOODING / 100
const server = newFloodingKey()
const circuitDigest = new Uint8Array(32)

async function client(t: Test, circuit: Circuit) {
  const flooded = {
    ...circuit,
    output: { ...circuit.output, flooding: FLOODING, bound: 64, tolerance: 100, precision: 4 },
  }
  const manifest = manifestOf(flooded)
  const ring = new KeyRing(memoryKeyStore())
  const model = new LocalModel(manifest, ring)
  const engine = await SimdEngine.create({ threads: 1 })
  t.teardown(async () => {
    await engine.close()
    ring.close()
  })
  /** Under another key set of the same secret each time. */
  async function session() {
    const frame = await collect(model.keySet())
    const floodingKeys: FloodingKeys = floodingKeysOf(server, circuitDigest, frame.slice(-32))
    const opened = await openSimdSession(engine, {
      circuit: flooded,
      manifest,
      keys: engine.newKeySet(circuit.parameters),
      source: bytesSource(frame),
      floodingKeys,
    })
    return async (query: Uint8Array): Promise<Float64Array> => {
      const answer = await opened.infer(query, {}, async (round, masked, take) =>
        take(await model.refresh(round, masked)),
      )
      return model.decrypt(answer, { fullPrecision: true })
    }
  }
  const [channels, height, width] = circuit.input.image
  const tensor = new Float64Array(channels * height * width).fill(0.5)
  const newQuery = () => model.encrypt({ shape: circuit.input.image, tensor })
  return { query: await newQuery(), newQuery, session }
}

const largest = (a: Float64Array, b: Float64Array): number =>
  a.reduce((most, value, k) => Math.max(most, Math.abs(value - b[k])), 0)

t.test('answers to one query carry other flooding where the client answered rounds anew', async (t) => {
  const { query, session } = await client(t, refreshedCircuit())
  const run = await session()
  const difference = largest(await run(query), await run(query))
  t.ok(difference > SMALL, `${difference}`)
})

t.test(
  'answers to one query carry other flooding under another key set, and the same under the same',
  async (t) => {
    const { query, session } = await client(t, rotatingCircuit('rotating', 3).circuit)
    const [run, other] = [await session(), await session()]
    const answer = await run(query)
    const again = largest(answer, await run(query))
    t.ok(again < SMALL, `${again}`)
    const difference = largest(answer, await other(query))
    t.ok(difference > SMALL, `${difference}`)
  },
)

t.test('flooding has the deviation that the manifest states', async (t) => {
  const { newQuery, session } = await client(t, rotatingCircuit('rotating', 3).circuit)
  const run = await session()
  const differences: number[] = []
  for (let i = 0; i < 24; i++) {
    const [a, b] = [await run(await newQuery()), await run(await newQuery())]
    differences.push(...a.map((logit, k) => logit - b[k]))
  }
  const square = differences.reduce((sum, difference) => sum + difference ** 2, 0) / differences.length
  const deviation = Math.sqrt(square / 2)
  // The logits of an answer have noise of their own. Of so many, the deviation is known to a fifth.
  t.ok(Math.abs(deviation / FLOODING - 1) < 0.35, `${deviation} of ${differences.length}`)
})
