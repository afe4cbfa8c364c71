import t, { type Test } from 'tap'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import {
  type DrawFlooding,
  type FloodingKeys,
  floodingKeysOf,
  newFloodingKey,
  newFloodingKeys,
} from '../../../src/he-ops/flooding.ts'
import { SimdEngine, type SimdSession } from '../../../src/he-ops/simd/index.ts'
import { bytesSource } from '../../../src/wire/index.ts'
import { rotatingCircuit } from '../../server/rotating-circuit.ts'
import { collect } from '../../wire/fixtures.ts'
import { refreshedCircuit } from '../simd/circuits.ts'

// Two answers to one query differ by new randomness, multiplied by weights. The client knows its own part of
// that randomness. So the difference must contain flooding: otherwise two answers would reveal what takes the
// average of thousands of flooded ones.

const FLOODING = 8
/** Below the difference of two independent flooding noises, and above all other noise of these circuits. */
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
  /** Opens a session with a new key set of the same secret key. */
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
  const query = await model.encrypt({ shape: circuit.input.image, tensor })
  return { query, session }
}

const largest = (a: Float64Array, b: Float64Array): number =>
  a.reduce((most, value, k) => Math.max(most, Math.abs(value - b[k])), 0)

t.test('answers to one query have different flooding when the replies of the client differ', async (t) => {
  const { query, session } = await client(t, refreshedCircuit())
  const run = await session()
  const difference = largest(await run(query), await run(query))
  t.ok(difference > SMALL, `${difference}`)
})

t.test(
  'answers to one query have the same flooding under one key set, and different flooding under another',
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

t.test('the flooding of an answer depends on the reply to every round', async (t) => {
  const circuit = refreshedCircuit()
  const manifest = manifestOf(circuit)
  const ring = new KeyRing(memoryKeyStore())
  const model = new LocalModel(manifest, ring)
  const engine = await SimdEngine.create({ threads: 1 })
  t.teardown(async () => {
    await engine.close()
    ring.close()
  })
  /** The flooding of each run's answer. */
  const drawn: Float64Array[] = []
  const recording = {
    threads: engine.threads,
    async open(...args: Parameters<SimdEngine['open']>): Promise<SimdSession> {
      const session = await engine.open(...args)
      const run: SimdSession['run'] = (pairs, control, client) => {
        const flooding: DrawFlooding = (count) => {
          drawn.push(control!.flooding!(count, 2 ** 30))
          return drawn.at(-1)!.slice()
        }
        return session.run(pairs, { ...control, flooding }, client)
      }
      return {
        memory: session.memory,
        run,
        check: (pairs) => session.check(pairs),
        free: () => session.free(),
      }
    },
  }
  const session = await openSimdSession(recording as SimdEngine, {
    circuit,
    manifest,
    keys: engine.newKeySet(circuit.parameters),
    source: bytesSource(await collect(model.keySet())),
    floodingKeys: newFloodingKeys(),
  })
  const [channels, height, width] = circuit.input.image
  const tensor = new Float64Array(channels * height * width).fill(0.5)
  const query = await model.encrypt({ shape: circuit.input.image, tensor })
  /**
   * @param earlier replies that are repeated, by round. They do not fit the new masks, which the engine
   *   cannot detect.
   */
  async function run(earlier: readonly (Uint8Array | undefined)[] = []): Promise<Uint8Array[]> {
    const replies: Uint8Array[] = []
    await session.infer(query, {}, async (round, masked, take) => {
      replies[round] = earlier[round] ?? (await model.refresh(round, masked))
      await take(replies[round])
    })
    return replies
  }
  const replies = await run()
  t.equal(replies.length, 2)
  await run(replies)
  t.same(drawn[1], drawn[0], 'equal replies give equal flooding')
  for (const round of [0, 1]) {
    await run(replies.with(round, undefined as never))
    t.notSame(drawn.at(-1), drawn[0], `another reply to round ${round} gives other flooding`)
  }
})
