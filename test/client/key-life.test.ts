import { createHash } from 'node:crypto'
import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import {
  type ClientProgress,
  connect,
  deleteKeys,
  directoryKeyStore,
  type KeyStore,
  listKeys,
  memoryKeyStore,
} from '../../src/client/index.ts'
import { keySetListEntry, placeOfKeySet } from '../../src/client/keys/entry-names.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { FakeServer, manifest, ORIGIN, parameters, problem, type Seen } from './fake-server.ts'

delete process.env.POLYVEIL_PASSPHRASE

const MODEL = 'toy-model'
const { digest } = parameters
const EXPIRES = '2099-01-01T00:00:00.000Z'
const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15) }

/** The name of a key set in the log of a server. */
const nameOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 12)

const lasting = (): KeyStore => ({ ...memoryKeyStore(), temporary: false })

async function connected(keys: KeyStore = lasting(), server = new FakeServer(), origin = ORIGIN) {
  // Another address is another FakeServer, because a FakeServer knows only one address.
  const fetch = (url: URL, init: RequestInit) => server.fetch(String(url).replace(origin, ORIGIN), init)
  return { server, keys, polyveil: await connect(origin, { keys, fetch: fetch as typeof globalThis.fetch }) }
}

const keySet = (id: string, change: object = {}) => ({
  name: nameOf(id),
  server: ORIGIN,
  expires: EXPIRES,
  galoisKeys: manifest.galoisElements.length,
  state: 'stored',
  ...change,
})

const deletions = ({ seen }: FakeServer): Seen[] => seen.filter(({ method }) => method === 'DELETE')

t.test('ids of key sets are sent in headers, not in paths', async (t) => {
  const { server, polyveil } = await connected(memoryKeyStore())
  await polyveil.classify(MODEL, image)
  await polyveil.close()
  const named = server.seen.filter(({ headers }) => headers['polyveil-key-set'] === 'key-set-0')
  t.strictSame(
    named.map(({ method, path }) => `${method} ${path}`),
    ['PUT v2/keys', 'DELETE v2/keys'],
  )
  t.ok(server.seen.every(({ path }) => !path.includes('key-set-')))
})

t.test('list shows keys, their key sets, expiry, and their state on the server', async (t) => {
  const { server, keys, polyveil } = await connected()
  t.strictSame(await polyveil.keySets.list(), [])
  await polyveil.keys(MODEL)
  const key = { parametersDigest: digest, hasSecretKey: true }
  t.strictSame(await polyveil.keySets.list(), [{ ...key, keySets: [keySet('key-set-0')] }])
  const seen = server.seen.length
  t.strictSame(await listKeys(keys), [{ ...key, keySets: [keySet('key-set-0', { state: 'unasked' })] }])
  t.equal(server.seen.length, seen, 'listKeys asks no server')
  server.keySets.clear()
  t.strictSame(await polyveil.keySets.list(), [{ ...key, keySets: [keySet('key-set-0', { state: 'gone' })] }])
  t.strictSame(
    await polyveil.keySets.list(),
    [{ ...key, keySets: [] }],
    'a key set that is gone is reported once',
  )
  t.notMatch(JSON.stringify(await polyveil.keySets.list()), 'key-set-', 'ids are not shown')
  await polyveil.close()
})

t.test('rotate makes a new secret key and a new key set, and deletes the old ones', async (t) => {
  const { server, keys, polyveil } = await connected()
  await polyveil.keys(MODEL)
  const secret = async () => Buffer.from((await keys.get(`secret-key/${digest}`))!).toString('base64')
  const before = await secret()
  t.match(await polyveil.keySets.rotate(MODEL), { id: 'key-set-1', expires: EXPIRES, remaining: [] })
  t.strictSame([...server.keySets.keys()], ['key-set-1'])
  t.not(await secret(), before)
  t.equal((await polyveil.classify(MODEL, image)).length, 5)
  t.strictSame(await polyveil.keySets.list(), [
    { parametersDigest: digest, hasSecretKey: true, keySets: [keySet('key-set-1')] },
  ])
  await polyveil.close()
})

t.test('delete works on both sides, and names key sets on other servers for a later deletion', async (t) => {
  const keys = lasting()
  const here = await connected(keys)
  const origin = 'http://elsewhere.test/'
  const there = await connected(keys, new FakeServer(), origin)
  await here.polyveil.keys(MODEL)
  await there.polyveil.keys(MODEL)
  const remaining = [keySet('key-set-0', { server: origin, state: 'unasked' })]
  t.strictSame(await here.polyveil.keySets.delete(), {
    secretKeys: [digest],
    keySets: [keySet('key-set-0')],
    remaining,
  })
  t.equal(here.server.keySets.size, 0)
  t.equal(await keys.get(`secret-key/${digest}`), undefined)
  t.equal(there.server.keySets.size, 1)
  t.strictSame(await listKeys(keys), [{ parametersDigest: digest, hasSecretKey: false, keySets: remaining }])

  // Deleting the remaining key sets must not touch this new key.
  await here.polyveil.keys(MODEL)
  const left = await there.polyveil.keySets.delete({ leftOver: true })
  t.match(left, { secretKeys: [], keySets: [{ server: origin }], remaining: [] })
  t.equal(there.server.keySets.size, 0)
  t.ok(await keys.get(`secret-key/${digest}`))
  t.strictSame((await listKeys(keys)).length, 1)
  for (const { polyveil } of [here, there]) await polyveil.close()
})

t.test('delete removes only the named keys', async (t) => {
  const { server, keys, polyveil } = await connected()
  await polyveil.keys(MODEL)
  const none = { secretKeys: [], keySets: [], remaining: [] }
  t.strictSame(await polyveil.keySets.delete({ parametersDigests: ['f'.repeat(64)] }), none)
  t.strictSame(await deleteKeys(keys, ['f'.repeat(64)]), none)
  t.equal(server.keySets.size, 1)
  t.match(await polyveil.keySets.delete({ parametersDigests: [digest] }), { secretKeys: [digest] })
  const isPin = (name: string): boolean => name.startsWith('pin/')
  t.strictSame(
    (await keys.names()).filter((name) => !isPin(name)),
    [],
    'only pins stay',
  )
})

t.test('a deletion whose choice is misspelt, undefined or no list of digests deletes nothing', async (t) => {
  const { server, keys, polyveil } = await connected()
  await polyveil.keys(MODEL)
  const refused = (call: Promise<unknown>, message: RegExp, remedy: RegExp) =>
    t.rejects(call, { name: 'PolyVeilError', code: 'CONFIG_INVALID', message, remedy })
  const { keySets } = polyveil
  await refused(
    keySets.delete({ parametersDigest: [digest] } as object),
    /no option parametersDigest$/,
    /parametersDigests, leftOver/,
  )
  await refused(keySets.delete(undefined), /keySets\.delete is undefined/, /Leave/)
  for (const name of ['parametersDigests', 'leftOver']) {
    await refused(keySets.delete({ [name]: undefined }), RegExp(`^${name} is undefined`), /Leave/)
  }
  for (const list of ['abc', digest, null, [digest.toUpperCase()], [digest.slice(1)], [undefined], {}]) {
    const parametersDigests = list as never
    await refused(keySets.delete({ parametersDigests }), /list of digests/, /listKeys/)
    await refused(deleteKeys(keys, parametersDigests), /list of digests/, /listKeys/)
  }
  await refused(deleteKeys(keys, undefined), /argument of deleteKeys is undefined/, /Leave/)
  await refused(keySets.delete({ leftOver: 'false' } as never), /leftOver is true or false/, /boolean/)
  t.equal(server.keySets.size, 1)
  t.ok(await keys.get(`secret-key/${digest}`))
  await polyveil.close()
})

t.test('deleteKeys deletes the secret key without a server, and names the remaining key set', async (t) => {
  const { server, keys, polyveil } = await connected()
  await polyveil.keys(MODEL)
  t.strictSame(await deleteKeys(keys), {
    secretKeys: [digest],
    keySets: [],
    remaining: [keySet('key-set-0', { state: 'unasked' })],
  })
  t.equal(server.keySets.size, 1)
  t.strictSame(deletions(server), [])
})

t.test('the secret key stays if the server does not delete its key sets', async (t) => {
  const { server, keys, polyveil } = await connected()
  await polyveil.keys(MODEL)
  server.intercept = ({ method }) => {
    if (method === 'DELETE') throw new TypeError('connection reset')
    return undefined
  }
  await t.rejects(polyveil.keySets.delete(), { code: 'SERVER_UNREACHABLE' })
  await t.rejects(polyveil.keySets.rotate(MODEL), { code: 'SERVER_UNREACHABLE' })
  t.ok(await keys.get(`secret-key/${digest}`))
  t.match(await listKeys(keys), [{ keySets: [{ name: nameOf('key-set-0') }] }])
  await polyveil.close()
})

t.test('records of PolyVeil 0.1 in a directory are listed and deleted', async (t) => {
  const path = t.testdir()
  const { server, polyveil } = await connected(directoryKeyStore(path))
  await polyveil.keys(MODEL)
  const keys = directoryKeyStore(path)
  const entry = (await keys.names()).find((name) => name.startsWith('key-set/'))!
  const { id, galoisElements } = JSON.parse(new TextDecoder().decode(await keys.get(entry)))
  await keys.delete(entry)
  const list = new TextEncoder().encode(JSON.stringify([{ id, galoisElements }]))
  await keys.put(keySetListEntry(placeOfKeySet(entry)!), list)
  t.strictSame((await listKeys(keys))[0].keySets, [
    keySet(id, { server: undefined, expires: undefined, state: 'unasked' }),
  ])
  t.strictSame((await polyveil.keySets.list())[0].keySets, [keySet(id)])
  t.match(await polyveil.keySets.delete(), { secretKeys: [digest] })
  t.equal(server.keySets.size, 0)
  await polyveil.close()
})

t.test('closing a connection with a temporary store deletes its key sets on the server', async (t) => {
  const throwAway = await connected(memoryKeyStore())
  await throwAway.polyveil.classify(MODEL, image)
  t.equal(throwAway.server.keySets.size, 1)
  await throwAway.polyveil.close()
  t.equal(throwAway.server.keySets.size, 0)
  await throwAway.polyveil.classify(MODEL, image)
  t.strictSame([...throwAway.server.keySets.keys()], ['key-set-1'], 'the connection can be used again')
  {
    await using disposed = throwAway.polyveil
    t.ok(disposed)
  }
  t.equal(throwAway.server.keySets.size, 0)

  const kept = await connected(lasting())
  await kept.polyveil.classify(MODEL, image)
  await kept.polyveil.close()
  t.equal(kept.server.keySets.size, 1)
  t.strictSame(deletions(kept.server), [])

  const failing = await connected(memoryKeyStore())
  await failing.polyveil.keys(MODEL)
  failing.server.intercept = () => Promise.reject(new TypeError('gone'))
  await failing.polyveil.close()
})

t.test('an upload that is aborted before the server answers the announcement is deleted', async (t) => {
  for (const own of [true, false]) {
    const server = new FakeServer()
    const stop = new AbortController()
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const answer = server.fetch(url, init)
      if (init?.method !== 'POST') return answer
      // The server has the announcement; its answer is on the way.
      await answer
      stop.abort(new Error('enough'))
      return answer
    }
    const signal = own ? undefined : stop.signal
    const polyveil = await connect(ORIGIN, { keys: lasting(), fetch, signal })
    const upload = polyveil.keys(MODEL, { signal: own ? stop.signal : undefined })
    await t.rejects(upload, { message: 'enough' })
    t.strictSame(
      server.seen.map(({ method }) => method),
      ['GET', 'GET', 'POST', 'DELETE'],
    )
    t.equal(server.keySets.size, 0)
  }
})

t.test('an upload that is aborted, or whose connection is closed, is deleted', async (t) => {
  for (const keys of [lasting(), memoryKeyStore()]) {
    const { server, polyveil } = await connected(keys)
    const stop = new AbortController()
    server.intercept = ({ method }) => {
      if (method === 'PUT') stop.abort(new Error('enough'))
      return undefined
    }
    await t.rejects(polyveil.keys(MODEL, { signal: stop.signal }), { message: 'enough' })
    t.strictSame(
      deletions(server).map(({ headers }) => headers['polyveil-key-set']),
      ['key-set-0'],
    )
    t.equal(server.keySets.size, 0)
  }
  const { server, polyveil } = await connected(memoryKeyStore())
  const uploading = Promise.withResolvers<void>()
  server.intercept = async ({ method }) => {
    if (method !== 'PUT') return undefined
    uploading.resolve()
    await turn()
    return undefined
  }
  const upload = polyveil.keys(MODEL)
  upload.catch(() => {})
  await uploading.promise
  await polyveil.close()
  await t.rejects(upload, { name: 'AbortError' })
  t.equal(server.keySets.size, 0)
})

t.test('a waiting client reports what it waits for, and gives up at its limit', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  for (const [path, waitsFor] of [
    ['v2/keys', 'keys'],
    ['v2/models/toy-model/infer', 'inference'],
  ] as const) {
    const { server, polyveil } = await connected()
    const full = new PolyVeilError('TOO_BUSY', 'The server holds as many key sets as it can')
    let asked = 0
    server.intercept = (seen) => {
      if (seen.path !== path || seen.method !== 'POST') return undefined
      asked++
      return problem(full, { 'retry-after': '60' })
    }
    const waits: ClientProgress[] = []
    const onProgress = (state: ClientProgress) => state.stage === 'wait' && waits.push(state)
    let outcome: unknown
    const call = polyveil.classify(MODEL, image, { onProgress }).catch((error) => {
      outcome = error
    })
    for (let seconds = 0; outcome === undefined && seconds < 600; ) {
      await turn()
      if (waits.length === seconds / 60) continue
      mock.timers.tick(60_000)
      seconds += 60
    }
    await call
    t.match(outcome, {
      code: 'TOO_BUSY',
      message: /as many key sets as it can; gave up after 120 s/,
      facts: { waitedSeconds: 120 },
    })
    t.equal(asked, 3)
    t.match(waits, [
      { stage: 'wait', waitsFor, secondsLeft: 60 },
      { stage: 'wait', waitsFor, secondsLeft: 60 },
    ])
  }
})

t.test('a secret key that another program deletes or replaces is not published again', async (t) => {
  for (const end of ['delete', 'rotate'] as const) {
    const { server, keys, polyveil } = await connected()
    await polyveil.classify(MODEL, image)
    const other = (await connected(keys, server)).polyveil
    await (end === 'delete' ? other.keySets.delete() : other.keySets.rotate(MODEL))
    const before = [...server.keySets.keys()]
    await t.rejects(polyveil.classify(MODEL, image), { code: 'KEYS_MISSING', message: /deleted or replaced/ })
    t.strictSame([...server.keySets.keys()], before, 'no key set is uploaded')
    t.ok(await polyveil.classify(MODEL, image), 'the next call uses the key of the store')
    t.equal((await listKeys(keys)).length, 1)
  }
})
