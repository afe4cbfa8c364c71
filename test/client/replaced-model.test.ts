import t from 'tap'
import { type Manifest, manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { connect, type ManifestChange, memoryKeyStore, type PinPolicy } from '../../src/client/index.ts'
import { ERROR_CODES, PolyVeilError } from '../../src/errors/index.ts'
import { otherParameters } from '../wire/fixtures.ts'
import { circuit, FakeServer, honestSlots, manifest, ORIGIN, problem } from './fake-server.ts'

// The server replaces the circuit of a model while a client works with it.

const MODEL = 'toy-model'
const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15).fill(99) }

/** What the model was before: other labels, and by choice other parameters. */
const before = manifestOf({ ...circuit, labels: ['a', 'b', 'c', 'd', 'e'] })
const underOthers = manifestOf({ ...circuit, parameters: otherParameters })

/** A client that has the manifest and the keys of `old`, and a server that has replaced the model since. */
async function replaced(old: Manifest, pins: PinPolicy = 'warn') {
  const server = new FakeServer()
  server.slots = honestSlots([1, 2, 3, 4, 5])
  server.manifest = old
  const changes: ManifestChange[] = []
  const onManifestChange = (change: ManifestChange): void => void changes.push(change)
  const polyveil = await connect(ORIGIN, {
    keys: memoryKeyStore(),
    fetch: server.fetch,
    pins,
    onManifestChange,
  })
  await polyveil.keys(MODEL)
  server.manifest = manifest
  server.seen.length = 0
  const count = (path: string): number =>
    server.seen.filter((seen) => `${seen.method} ${seen.path}` === path).length
  const counts = () => ({
    manifests: count(`GET v2/models/${MODEL}/manifest`),
    queries: count(`POST v2/models/${MODEL}/infer`),
    keySets: count('POST v2/keys'),
  })
  return { server, polyveil, changes, counts }
}

t.test('classify fetches the new manifest once, and keeps the keys', async (t) => {
  const { polyveil, counts, changes } = await replaced(before)
  t.match(await polyveil.classify(MODEL, image, { topK: 1 }), [{ label: 'four' }])
  t.strictSame(counts(), { manifests: 1, queries: 2, keySets: 0 })
  t.match(changes, [{ before: before.digest, now: manifest.digest }])
  t.match(await polyveil.classifySettled(MODEL, [image], { topK: 1 }), [{ value: [{ label: 'four' }] }])
  t.strictSame(counts(), { manifests: 1, queries: 3, keySets: 0 })
  await polyveil.close()
})

t.test('keys are made anew when the parameters are others', async (t) => {
  const { polyveil, counts } = await replaced(underOthers)
  t.match(await polyveil.classifySettled(MODEL, [image], { topK: 1 }), [{ value: [{ label: 'four' }] }])
  t.strictSame(counts(), { manifests: 1, queries: 2, keySets: 1 })
  await polyveil.close()
})

t.test('calls at once share the new manifest', async (t) => {
  const { polyveil, counts } = await replaced(before)
  const all = await Promise.all([1, 2, 3].map(() => polyveil.classify(MODEL, image, { topK: 1 })))
  t.equal(all.length, 3)
  t.strictSame(counts(), { manifests: 1, queries: 6, keySets: 0 })
  await polyveil.close()
})

t.test('status 410 is understood, and a server that refuses again is not asked for ever', async (t) => {
  const { server, polyveil, counts } = await replaced(before)
  server.intercept = ({ path }) => {
    if (!path.endsWith('/infer')) return undefined
    const { status: _status, ...body } = ERROR_CODES.PARAMETERS_MISMATCH
    return Response.json(
      { ...body, code: 'PARAMETERS_MISMATCH', detail: 'retired', status: 410 },
      { status: 410, headers: { 'content-type': 'application/problem+json' } },
    )
  }
  await t.rejects(polyveil.classify(MODEL, image), { code: 'PARAMETERS_MISMATCH', message: /retired/ })
  t.strictSame(counts(), { manifests: 1, queries: 2, keySets: 0 })
  server.intercept = () => undefined
  t.match(await polyveil.classify(MODEL, image, { topK: 1 }), [{ label: 'four' }])
  await polyveil.close()
})

t.test('a pinned manifest is not exchanged for another', async (t) => {
  const { polyveil, counts } = await replaced(before, 'refuse')
  await t.rejects(polyveil.classify(MODEL, image), {
    code: 'PARAMETERS_MISMATCH',
    facts: { before: before.digest, now: manifest.digest },
  })
  t.equal(counts().queries, 1, 'the image is not sent for the other manifest')
  await polyveil.close()
})

t.test('a model that is retired is unknown, and can come back', async (t) => {
  const { server, polyveil } = await replaced(manifest)
  server.intercept = ({ path }) =>
    path.startsWith('v2/models/') ? problem(new PolyVeilError('MODEL_UNKNOWN', 'gone')) : undefined
  await t.rejects(polyveil.classify(MODEL, image), { code: 'MODEL_UNKNOWN' })
  server.intercept = () => undefined
  t.match(await polyveil.classify(MODEL, image, { topK: 1 }), [{ label: 'four' }])
  await polyveil.close()
})
