import t from 'tap'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { Transport } from '../../src/client/transport/transport.ts'
import { FakeServer, ORIGIN } from './fake-server.ts'

const MODEL = 'toy-model'
const SECRET = 'op en:ses@me'
const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15).fill(120) }
const withCredentials = ORIGIN.replace('//', `//user:${encodeURIComponent(SECRET)}@`)

t.test('credentials in the address are sent as a header with every request, and are not shown', async (t) => {
  const server = new FakeServer()
  using polyveil = await connect(withCredentials, { keys: memoryKeyStore(), fetch: server.fetch })
  await polyveil.classify(MODEL, image)
  t.ok(server.seen.length >= 5)
  const expected = `Basic ${Buffer.from(`user:${SECRET}`).toString('base64')}`
  for (const { headers, path } of server.seen) t.equal(headers.authorization, expected, path)
  const transport = new Transport(withCredentials)
  t.equal(transport.base.href, ORIGIN)
})

t.test('a client finds its key sets on a server with and without credentials in the address', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  const idBy = async (url: string) =>
    (await (await connect(url, { keys, fetch: server.fetch })).keys(MODEL)).id
  t.equal(await idBy(ORIGIN), await idBy(withCredentials))
})

t.test('errors contain no credentials', async (t) => {
  const failing = (fetch: typeof globalThis.fetch, url = withCredentials) =>
    connect(url, { keys: memoryKeyStore(), fetch, headers: { 'x-token': SECRET } }).catch((error) => error)
  const errors = [
    await failing(() => Promise.reject(new TypeError('fetch failed'))),
    await failing(async () => new Response('<html>', { status: 401 })),
    await failing(async () => new Response('{}', { status: 200 })),
    await failing(async () => new Response('none', { status: 200 })),
    await failing(async () => new Response('', { status: 302, headers: { location: withCredentials } })),
    await failing(fetch, withCredentials.replace('http', 'ftp')),
    await failing(fetch, 'http://user:%E0%A4%A@polyveil.test'),
  ]
  for (const error of errors) {
    t.match(error, { name: 'PolyVeilError' })
    const shown = [JSON.stringify(error), error.message, error.remedy].join()
    for (const secret of [SECRET, encodeURIComponent(SECRET), 'ses@me', '%E0'])
      t.notOk(shown.includes(secret), error.message)
  }
})

t.test(
  'custom headers are sent with every request; headers that the client sets itself are refused',
  async (t) => {
    const server = new FakeServer()
    const connecting = (headers: Record<string, string>, url = ORIGIN) =>
      connect(url, { keys: memoryKeyStore(), fetch: server.fetch, headers })
    using polyveil = await connecting({ 'X-Tenant': 'me', Authorization: 'Bearer abc' })
    await polyveil.classify(MODEL, image)
    for (const { headers, path } of server.seen) {
      t.match(headers, { 'x-tenant': 'me', authorization: 'Bearer abc' }, path)
    }
    for (const headers of [
      { 'Content-Type': 'text/plain' },
      { 'upload-offset': '0' },
      { Host: 'x' },
      { 'a b': 'c' },
      { 'x-a': 'line\nbreak' },
      { 'x-a': '1', 'X-A': '2' },
      { 'x-a': 1 as never },
    ]) {
      const names = Object.keys(headers).join()
      await t.rejects(connecting(headers as never), { code: 'CONFIG_INVALID', message: /[Hh]eader/ }, names)
    }
    await t.rejects(connecting({ authorization: 'Bearer abc' }, withCredentials), { message: /give one/ })
  },
)

t.test('a cancellation has the credentials, too', async (t) => {
  const server = new FakeServer()
  const transport = new Transport(withCredentials, { fetch: server.fetch })
  await transport.tell({ method: 'DELETE', path: 'v2/inferences/a' })
  t.match(server.seen[0].headers.authorization, /^Basic /)
})
