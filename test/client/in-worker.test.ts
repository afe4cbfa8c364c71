import t, { type Test } from 'tap'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import type { ConnectInWorkerOptions } from '../../src/client/in-worker/connect-in-worker.ts'
import type { Connection } from '../../src/client/in-worker/connection.ts'
import { serveConnection } from '../../src/client/in-worker/serve-connection.ts'
import { WorkerCalls } from '../../src/client/in-worker/worker-calls.ts'
import {
  type ClientProgress,
  connectInWorker,
  type ManifestChange,
  PolyVeilError,
  WorkerPolyVeil,
} from '../../src/client/index.ts'
import { PolyVeil } from '../../src/client/polyveil.ts'
import { circuit, FakeServer, LABELS, manifest, ORIGIN } from './fake-server.ts'

// Both sides of a connection in a Worker, on one thread: the channel between them copies messages as between
// threads. test/browser has them in Chromium, with a real Worker.

const MODEL = 'toy-model'
const image = { shape: [1, 5, 3], tensor: new Float64Array(15).fill(1) } as const

interface Connected {
  readonly polyveil: WorkerPolyVeil
  readonly calls: WorkerCalls
  readonly server: FakeServer
  /** How often the page has ended the Worker. */
  readonly ends: () => number
}

async function connected(
  t: Test,
  { signal, onManifestChange, ...options }: ConnectInWorkerOptions = {},
): Promise<Connected> {
  const server = new FakeServer()
  const platform = globalThis.fetch
  globalThis.fetch = server.fetch
  t.teardown(() => {
    globalThis.fetch = platform
  })
  const { port1, port2 } = new MessageChannel()
  const calls = new WorkerCalls(port1, { signal, onManifestChange })
  let ends = 0
  const polyveil = new WorkerPolyVeil(calls, { end: () => ends++ })
  t.teardown(() => polyveil.close())
  serveConnection({
    kind: 'polyveil-connect',
    port: port2,
    url: ORIGIN,
    store: { store: 'memory' },
    options,
    reportsManifests: onManifestChange !== undefined,
  })
  await calls.connected
  return { polyveil, calls, server, ends: () => ends }
}

t.test('results are those of a connection without a Worker', async (t) => {
  const { polyveil, server } = await connected(t)
  t.strictSame(await polyveil.models(), [{ name: MODEL, labels: LABELS }])
  t.strictSame((await polyveil.manifest(MODEL)).digest, manifest.digest)
  const [best] = await polyveil.classify(MODEL, image, { topK: 1 })
  t.equal(best.label, 'four')
  const [first, second] = await polyveil.classify(MODEL, [image, image])
  t.strictSame([first.length, second.length], [5, 5])
  const query = await polyveil.encrypt(MODEL, image)
  const answer = await polyveil.infer(MODEL, query)
  t.equal((await polyveil.decrypt(MODEL, answer)).length, 5)
  t.equal((await polyveil.decryptBatch(MODEL, answer)).length, 1)
  const { id } = await polyveil.keys(MODEL)
  t.ok(server.keySets.has(id))
  t.match(await polyveil.keySets.list(), [{ hasSecretKey: true, keySets: [{ state: 'stored' }] }])
  t.not((await polyveil.keySets.rotate(MODEL)).id, id)
  t.match(await polyveil.keySets.delete(), { secretKeys: [String] })
  t.equal(server.keySets.size, 0)
})

t.test('both kinds of connections have the same methods', async (t) => {
  const { polyveil } = await connected(t)
  const connection: Connection = polyveil
  const methods = Object.getOwnPropertyNames(PolyVeil.prototype).filter((name) => name !== 'constructor')
  t.ok(methods.length > 8)
  for (const name of methods) t.type(connection[name as keyof Connection], 'function', name)
})

t.test('progress arrives before the result', async (t) => {
  const { polyveil } = await connected(t)
  const stages: ClientProgress['stage'][] = []
  await polyveil.classify(MODEL, image, { onProgress: ({ stage }) => stages.push(stage) })
  t.strictSame([...new Set(stages)], ['encrypt', 'keys', 'infer', 'decrypt'])
})

t.test('an error of onProgress ends its call', async (t) => {
  const { polyveil } = await connected(t)
  const failure = new Error('of the page')
  const onProgress = (): never => {
    throw failure
  }
  await t.rejects(polyveil.classify(MODEL, image, { onProgress }), failure)
  t.ok((await polyveil.models()).length, 'the connection goes on')
})

t.test('errors keep code, facts and remedy', async (t) => {
  const { polyveil } = await connected(t)
  const error = await polyveil.manifest('absent').catch((caught) => caught)
  t.type(error, PolyVeilError)
  t.match(error, { code: 'MODEL_UNKNOWN' })
  await t.rejects(polyveil.manifest('no name!'), { code: 'CONFIG_INVALID', remedy: /models\(\)/ })
  await t.rejects(polyveil.classify(MODEL, 'picture.png' as never), { message: /path or an address/ })
  const wild = { ...image, tensor: new Float64Array(15).fill(7) }
  await t.rejects(polyveil.classify(MODEL, wild), { code: 'TENSOR_OUT_OF_RANGE', facts: { bound: 6 } })
  const [bad, good] = await polyveil.classifySettled(MODEL, [wild, image])
  t.match(bad, { status: 'rejected', reason: { code: 'TENSOR_OUT_OF_RANGE', facts: { bound: 6 } } })
  t.type((bad as PromiseRejectedResult).reason, PolyVeilError)
  t.equal(good.status, 'fulfilled')
})

t.test('wrong options are refused', async (t) => {
  const { polyveil } = await connected(t)
  const refused = { code: 'CONFIG_INVALID' }
  await t.rejects(polyveil.models({ onProgress: 5 as never }), {
    ...refused,
    message: 'onProgress is a function',
  })
  await t.rejects(polyveil.models({ timeout: 5 } as never), {
    ...refused,
    message: 'There is no option timeout',
  })
  await t.rejects(polyveil.models({ signal: {} as never }), refused)
  await t.rejects(polyveil.keySets.delete(undefined), { ...refused, message: /undefined/ })
  await t.rejects(polyveil.classify(MODEL, Promise.resolve(image) as never), {
    ...refused,
    message: /cannot be copied/,
  })
})

t.test('an aborted signal rejects with its reason and ends the call in the Worker', async (t) => {
  const { polyveil, server } = await connected(t)
  const reason = new Error('enough')
  await t.rejects(polyveil.models({ signal: AbortSignal.abort(reason) }), reason)
  const controller = new AbortController()
  const { promise: silence, resolve: endSilence } = Promise.withResolvers<undefined>()
  server.intercept = ({ path }) => {
    if (!path.endsWith('/infer')) return undefined
    controller.abort(reason)
    return silence
  }
  await t.rejects(polyveil.classify(MODEL, image, { signal: controller.signal }), reason)
  endSilence(undefined)
  t.ok((await polyveil.models()).length, 'other calls go on')
})

t.test('the signal of the connection ends all calls with its reason', async (t) => {
  const controller = new AbortController()
  const { polyveil } = await connected(t, { signal: controller.signal })
  const reason = new Error('the user left')
  controller.abort(reason)
  const caught = await polyveil.models().catch((error) => error)
  t.equal(caught, reason)
})

t.test('changed manifests are reported to the page', async (t) => {
  const changes: ManifestChange[] = []
  const { polyveil, server } = await connected(t, { onManifestChange: (change) => changes.push(change) })
  const before = manifestOf({ ...circuit, labels: ['a', 'b', 'c', 'd', 'e'] })
  server.manifest = before
  await polyveil.keys(MODEL)
  t.strictSame(changes, [])
  server.intercept = ({ path }) => {
    if (!path.endsWith('/infer') || server.manifest === manifest) return undefined
    server.manifest = manifest
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'The circuit was replaced')
  }
  t.match(await polyveil.classify(MODEL, image, { topK: 1 }), [{ label: 'four' }])
  t.match(changes, [{ model: MODEL, before: before.digest, now: manifest.digest }])
})

t.test('close frees keys, deletes those of a temporary store, and ends the Worker', async (t) => {
  const { polyveil, server, ends } = await connected(t)
  await polyveil.keys(MODEL)
  t.equal(server.keySets.size, 1)
  await polyveil.close()
  t.equal(server.keySets.size, 0)
  t.equal(ends(), 1)
  await t.rejects(polyveil.models(), { code: 'CONFIG_INVALID', message: /closed/, remedy: /connectInWorker/ })
  await t.resolves(polyveil.close(), 'a second close does nothing')
})

t.test('the end of a Worker rejects its calls and all later ones', async (t) => {
  const { polyveil, calls, server } = await connected(t)
  const { promise: silence, resolve: endSilence } = Promise.withResolvers<undefined>()
  server.intercept = () => silence
  const call = polyveil.models()
  calls.end(new PolyVeilError('WORKER_LOST', 'The Web Worker has ended'))
  await t.rejects(call, { code: 'WORKER_LOST' })
  endSilence(undefined)
  await t.rejects(polyveil.models(), { code: 'WORKER_LOST' })
  await t.resolves(polyveil.close())
})

t.test('Node is refused, and told what to use', async (t) => {
  await t.rejects(connectInWorker(ORIGIN), { code: 'CONFIG_INVALID', remedy: /Use connect in Node/ })
  await t.rejects(connectInWorker(ORIGIN, { keys: {} } as never), { message: 'There is no option keys' })
  await t.rejects(connectInWorker(ORIGIN, { store: 'disk' } as never), { code: 'CONFIG_INVALID' })
})
