import t, { type Test } from 'tap'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import {
  connect,
  directoryKeyStore,
  type KeyStore,
  type ManifestChange,
  memoryKeyStore,
  type PinPolicy,
  type PolyVeil,
} from '../../src/client/index.ts'
import { circuit, FakeServer, manifest, ORIGIN } from './fake-server.ts'

const MODEL = 'toy-model'
const picture = { width: 1, height: 1, channels: 1 as const, data: new Uint8Array(1) }

/** What the server shows after the model was compiled anew. */
const anew = manifestOf({ ...circuit, estimate: { ...circuit.estimate, seconds: 4 } })

async function manifestFrom(server: FakeServer, keys: KeyStore, pins?: PinPolicy) {
  const changes: ManifestChange[] = []
  const options = {
    keys,
    fetch: server.fetch,
    pins,
    onManifestChange: (change: ManifestChange) => changes.push(change),
  }
  const polyveil = await connect(ORIGIN, options)
  await polyveil.encrypt(MODEL, picture)
  const { digest } = await polyveil.manifest(MODEL)
  polyveil.close()
  return { digest, changes, polyveil }
}

const stores: [name: string, store: (test: Test) => () => KeyStore][] = [
  [
    'memory',
    () => {
      const store = memoryKeyStore()
      return () => store
    },
  ],
  [
    'a directory',
    (test) => {
      const path = test.testdir()
      return () => directoryKeyStore(path, { passphrase: undefined })
    },
  ],
]

for (const [name, make] of stores) {
  t.test(`a changed manifest is told once and then remembered, in ${name}`, async (t) => {
    const opened = make(t)
    const server = new FakeServer()
    t.strictSame((await manifestFrom(server, opened())).changes, [], 'the first is trusted')
    t.strictSame((await manifestFrom(server, opened())).changes, [], 'the same again is nothing')
    server.manifest = anew
    const change = { url: ORIGIN, model: MODEL, before: manifest.digest, now: anew.digest }
    t.strictSame((await manifestFrom(server, opened())).changes, [change])
    t.strictSame((await manifestFrom(server, opened())).changes, [])
    server.manifest = manifest
    const back = { ...change, before: anew.digest, now: manifest.digest }
    t.strictSame((await manifestFrom(server, opened())).changes, [back], 'the way back is a change, too')
  })
}

t.test('a client can be told to refuse, and then sends nothing more', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  t.equal((await manifestFrom(server, keys, 'refuse')).digest, manifest.digest, 'the first is trusted')
  server.manifest = anew
  const changes: ManifestChange[] = []
  const polyveil = await connect(ORIGIN, {
    keys,
    fetch: server.fetch,
    pins: 'refuse',
    onManifestChange: (change) => changes.push(change),
  })
  const before = server.seen.length
  const uses: (() => Promise<unknown>)[] = [
    () => polyveil.keys(MODEL),
    () => polyveil.classify(MODEL, new Uint8Array()),
  ]
  for (const use of uses) {
    await t.rejects(use(), {
      code: 'PARAMETERS_MISMATCH',
      message: /has changed since it was last used here/,
      facts: { url: ORIGIN, model: MODEL, before: manifest.digest, now: anew.digest },
    })
  }
  t.strictSame(changes, [], 'what is refused is an error, and no event')
  t.strictSame(
    server.seen.slice(before).map(({ path }) => path),
    Array(2).fill('v2/models/toy-model/manifest'),
  )
  await t.rejects(manifestFrom(server, keys, 'refuse'), { code: 'PARAMETERS_MISMATCH' }, 'and again')
  t.equal((await manifestFrom(server, keys, 'warn')).changes.length, 1, 'until it is taken')
  t.equal((await manifestFrom(server, keys, 'refuse')).digest, anew.digest)
})

t.test(
  'of two programs that use a model for the first time, the second hears of another manifest',
  async (t) => {
    const [one, other] = [new FakeServer(), new FakeServer()]
    other.manifest = anew
    const keys = memoryKeyStore()
    const changes: ManifestChange[] = []
    const onManifestChange = (change: ManifestChange) => changes.push(change)
    const clients = await Promise.all(
      [one, other].map(({ fetch }) => connect(ORIGIN, { keys, fetch, onManifestChange })),
    )
    for (const client of clients) await client.manifest(MODEL)
    for (const client of clients) await client.encrypt(MODEL, picture)
    t.strictSame(changes, [{ url: ORIGIN, model: MODEL, before: manifest.digest, now: anew.digest }])
  },
)

t.test('rotation of a key pins the manifest that it used', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  const first = await connect(ORIGIN, { keys, fetch: server.fetch })
  await first.keySets.rotate(MODEL)
  await first.close()
  server.manifest = anew
  await t.rejects(manifestFrom(server, keys, 'refuse'), { code: 'PARAMETERS_MISMATCH' })
})

t.test('classifying pins the manifest that it used', async (t) => {
  const uses: [name: string, use: (polyveil: PolyVeil) => Promise<unknown>][] = [
    ['one image', (polyveil) => polyveil.classify(MODEL, picture)],
    ['settled', (polyveil) => polyveil.classifySettled(MODEL, [picture])],
  ]
  for (const [name, use] of uses) {
    const server = new FakeServer()
    const keys = memoryKeyStore()
    const first = await connect(ORIGIN, { keys, fetch: server.fetch })
    await use(first)
    await first.close()
    server.manifest = anew
    await t.rejects(manifestFrom(server, keys, 'refuse'), { code: 'PARAMETERS_MISMATCH' }, name)
  }
})

t.test('pins that are off neither read nor write', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  await manifestFrom(server, keys, 'off')
  server.manifest = anew
  t.strictSame((await manifestFrom(server, keys)).changes, [], 'nothing was remembered')
  server.manifest = manifest
  t.strictSame((await manifestFrom(server, keys, 'off')).changes, [])
  t.strictSame(await manifestFrom(server, keys, 'refuse').catch(({ code }) => code), 'PARAMETERS_MISMATCH')
})

t.test('each server and each model has a pin of its own', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  await manifestFrom(server, keys)
  const other = manifestOf({ ...circuit, model: 'other' })
  server.others.set('other', other)
  const changes: ManifestChange[] = []
  const options = { keys, onManifestChange: (change: ManifestChange) => changes.push(change) }
  const polyveil = await connect(ORIGIN, { ...options, fetch: server.fetch })
  await polyveil.encrypt('other', picture)
  const elsewhere = new FakeServer()
  elsewhere.manifest = anew
  const redirected: typeof fetch = (url, init) =>
    elsewhere.fetch(String(url).replace('http://elsewhere.test/', ORIGIN), init)
  await (await connect('http://elsewhere.test/', { ...options, fetch: redirected })).manifest(MODEL)
  t.strictSame(changes, [])
})

t.test('without a callback a change is a line on the console, without credentials', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  const withCredentials = ORIGIN.replace('http://', 'http://user:secret@')
  const plain: typeof fetch = (url, init) => server.fetch(String(url).replace('user:secret@', ''), init)
  const seen = async (): Promise<void> => {
    await (await connect(withCredentials, { keys, fetch: plain })).encrypt(MODEL, picture)
  }
  await seen()
  server.manifest = anew
  const lines = t.capture(console, 'warn')
  await seen()
  const said = lines.args()
  t.match(said, [[/^The manifest of model toy-model at http:\/\/polyveil\.test\/prefix\/ has changed/]])
  t.equal(said.length, 1)
})

t.test('a damaged pin is an error, and no first use', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  await manifestFrom(server, keys)
  const damaged: KeyStore = { ...keys, get: async () => new TextEncoder().encode('{"digest":"0"}') }
  await t.rejects(manifestFrom(server, damaged), {
    code: 'CONFIG_INVALID',
    message: /pin of model toy-model/,
  })
})

t.test('looking at a manifest makes no key store', async (t) => {
  const server = new FakeServer()
  const written: string[] = []
  const store = memoryKeyStore()
  const keys: KeyStore = {
    ...store,
    put: async (name, bytes) => {
      written.push(name)
      await store.put(name, bytes)
    },
    add: async (name, bytes) => {
      written.push(name)
      return store.add(name, bytes)
    },
  }
  const polyveil = await connect(ORIGIN, { keys, fetch: server.fetch })
  await polyveil.manifest(MODEL)
  await t.rejects(polyveil.classify(MODEL, Uint8Array.of(1, 2, 3)), { code: 'IMAGE_UNREADABLE' })
  t.strictSame(written, [])
  await polyveil.encrypt(MODEL, picture)
  await polyveil.encrypt(MODEL, picture)
  const pins = written.filter((name) => name.startsWith('pin/'))
  t.match(pins, [/^pin\/[0-9a-f]{64}\/toy-model$/])
  t.equal(pins.length, 1)
})
