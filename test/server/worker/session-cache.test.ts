import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { circuitDigest, writeCircuit } from '../../../src/circuit/format/file.ts'
import { ExecutionStopped } from '../../../src/he-ops/executor.ts'
import { newFloodingKey } from '../../../src/he-ops/flooding.ts'
import { servedModel } from '../../../src/server/models/catalogue.ts'
import { ServedCircuit } from '../../../src/server/worker/circuits.ts'
import { WorkerPool } from '../../../src/server/worker/pool.ts'
import { SessionCache } from '../../../src/server/worker/session-cache.ts'
import { rotatingCircuit } from '../rotating-circuit.ts'
import { SealedClient } from '../sealed-client.ts'

const known = rotatingCircuit('small', 8)
const directory = t.testdir()
const bytes = writeCircuit(known.circuit)
const path = join(directory, 'small.pvc')
await writeFile(path, bytes)
const digest = circuitDigest(bytes)
const client = await SealedClient.create(known)
t.teardown(() => client.delete())
const keySet = await client.keySet()
const keysOf = (name: string) => ({ name, location: { bytes: keySet } })
const settings = (engineBytes: number) => ({
  keyBytes: 1e9,
  engineBytes,
  threads: 1,
  floodingKey: newFloodingKey(),
})
const never = { shouldStop: () => false, stopped: new Promise(() => {}) }

/** A cache, and what it tells of itself. */
function caching(engineBytes = 2 ** 28) {
  const events: string[] = []
  const cache = new SessionCache(settings(engineBytes), {
    onOpened: () => events.push('opened'),
    onReused: () => {},
    onUnloaded: (name) => events.push(`unloaded ${name}`),
    onMemory: () => {},
  })
  return { cache, events }
}

t.test('keys of a deleted set are freed at once, or after their last use', async (t) => {
  const { cache, events } = caching()
  const served = await ServedCircuit.open({ path, digest })
  await cache.use(served, keysOf('idle'), never, async () => {})
  cache.forgetKeys('idle')
  t.strictSame(events.splice(0), ['opened', 'unloaded idle'])
  t.equal(cache.count, 0)
  await cache.use(served, keysOf('used'), never, async () => {
    cache.forgetKeys('used')
    t.strictSame(events.splice(0), ['opened'], 'not while they are used')
    t.equal(cache.count, 1)
  })
  t.strictSame(events.splice(0), ['unloaded used'])
  t.equal(cache.count, 0)
  const loading = cache.use(served, keysOf('loading'), never, async () => {})
  await new Promise(setImmediate)
  cache.forgetKeys('loading')
  await loading
  t.equal(cache.count, 0, 'a set that is deleted while it is being loaded')
  cache.forgetKeys('unknown')
})

t.test('a load that is stopped ends between keys and between operations, and leaves no keys', async (t) => {
  const { cache, events } = caching()
  const served = await ServedCircuit.open({ path, digest })
  /** A stop at the call of this number. */
  const stopAt = (last: number) => {
    const stop = { calls: 0, shouldStop: () => stop.calls++ >= last, stopped: new Promise(() => {}) }
    return stop
  }
  const whole = stopAt(Infinity)
  await cache.use(served, keysOf('whole'), whole, async () => {})
  cache.forgetKeys('whole')
  const { used } = cache.memory
  const keys = known.manifest.galoisElements.length
  t.ok(whole.calls > keys + 3, 'it is asked for each key, and for operations')
  for (let last = 1; last < whole.calls; last++) {
    const run = cache.use(served, keysOf('stopped'), stopAt(last), async () => t.fail('it must not run'))
    await t.rejects(run, ExecutionStopped, `at ${last} of ${whole.calls}`)
    t.equal(cache.count, 0)
    t.equal(cache.memory.used, used)
  }
  events.length = 0
  const frame = await cache.use(served, keysOf('next'), never, (session) =>
    session.infer(client.query(known.manifest), never),
  )
  t.ok(frame.length > 0)
  t.strictSame(events, ['opened'])
})

t.test('a circuit fits after the constants and gaps of others, when no one uses them', async (t) => {
  // Room for one session. The constants of each circuit stay after its session is evicted, until there is no
  // room for the next one.
  const { cache } = caching(16 * 2 ** 20)
  for (let factor = 1; factor <= 12; factor++) {
    const constants = [Float64Array.of(0.5 / factor, -0.25 / factor), Float64Array.of(0.75)]
    const file = writeCircuit({ ...known.circuit, constants })
    const other = join(directory, `small-${factor}.pvc`)
    await writeFile(other, file)
    const served = await ServedCircuit.open({ path: other, digest: circuitDigest(file) })
    const frame = await cache.use(served, keysOf(`client ${factor}`), never, (session) =>
      session.infer(client.query(known.manifest), never),
    )
    t.ok(frame.length > 0, `circuit ${factor}`)
  }
})

t.test('a worker whose engine has lost a thread ends, and another one takes its place', async (t) => {
  const filename = fileURLToPath(new URL('./lost-thread-worker.ts', import.meta.url))
  const faults: unknown[] = []
  const replaced: number[] = []
  const pool = new WorkerPool({
    workers: 1,
    queue: 1,
    settings: settings(2 ** 28),
    filename,
    onFault: (error) => faults.push(error),
  })
  t.teardown(() => pool.close())
  pool.watch({ onOpened() {}, onUnloaded() {}, onReplaced: (lane) => replaced.push(lane) })
  const model = servedModel(known.circuit, path, { digest })
  for (let round = 1; round <= 2; round++) {
    const ended = Promise.withResolvers<void>()
    const job = {
      model,
      keys: keysOf('k'),
      frame: new Uint8Array(client.query(known.manifest)),
      signal: new AbortController().signal,
      whose: { owner: 'o', silence: () => 0, evict: () => {} },
      onProgress: () => {},
      client: async () => {},
    }
    const lost = pool.infer(job, 0, { onPaused: () => {}, onEnd: ended.resolve })
    await t.rejects(lost, { code: 'WORKER_LOST', message: 'The worker ended before it had an answer' })
    await ended.promise
    t.equal(faults.length, round)
    t.equal(replaced.length, round)
  }
})
