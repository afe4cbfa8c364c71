import t, { type Test } from 'tap'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { inferenceRequest } from '../../src/client/transport/binary-body.ts'
import { storedKeySet, uploadKeySet } from '../../src/client/transport/key-upload.ts'
import { Transport } from '../../src/client/transport/transport.ts'
import { keySetBytes } from '../../src/wire/index.ts'
import { parameters } from '../circuit/circuits.ts'
import { image, MODEL, manifest, started } from '../server/refreshed-service.ts'
import { harness, patterned } from '../server/support.ts'
import { FakeServer, ORIGIN } from './fake-server.ts'
import { limitedTo, page, proxy, replacingErrors } from './proxies.ts'

// The client behind proxies that PolyVeil does not control: they answer instead of the service, or close
// connections. Proxies and service have real ports here, because the order in which bodies and answers arrive
// matters.

/** The size of several parts of 8 MiB. */
const galoisElements = Array.from({ length: 40 }, (_, k) => 2 * k + 3)
const BYTES = keySetBytes(parameters, galoisElements)
const keySet = { parametersDigest: parameters.digest, bytes: BYTES, galoisElements }
const content = patterned(BYTES)

async function* chunks(): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < BYTES; offset += 1_000_003) yield content.subarray(offset, offset + 1_000_003)
}

/** A service on a port. Its engine finds the announced keys in every key set. */
async function service(t: Test) {
  const h = await harness(t)
  h.engine.checks.push({ galoisElements, digest: 'd'.repeat(64) })
  return { ...h, url: await h.app.listen({ host: '127.0.0.1', port: 0 }) }
}

async function upload(t: Test, url: string) {
  const sent: number[] = []
  const startedAt = performance.now()
  const onSent = (bytes: number): void => void sent.push(bytes)
  const { id } = await uploadKeySet(new Transport(url), keySet, chunks(), { onSent })
  const seconds = (performance.now() - startedAt) / 1000
  t.comment(`${(BYTES / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`)
  return { id, sent, seconds }
}

t.test('uploads use smaller parts behind a proxy that answers 413 above a megabyte', async (t) => {
  t.ok(BYTES > 16 * 2 ** 20, `${BYTES} bytes are several parts`)
  const { url, keys } = await service(t)
  const between = await proxy(t, url, limitedTo(1e6))
  const { id, sent } = await upload(t, between.url)
  t.match(await keys.get(id), { uploadOffset: BYTES, bytes: BYTES, digest: 'd'.repeat(64) })
  t.ok(between.bodies.filter((bytes) => bytes > 1e6).length <= 3, 'the limit is found once')
  t.strictSame(
    sent,
    [...sent].sort((a, b) => a - b),
    'progress never goes backwards',
  )
  t.equal(sent.at(-1), BYTES)
})

t.test('an upload resumes behind a proxy that closes the connection after 5 MiB', async (t) => {
  const { url, keys } = await service(t)
  const between = await proxy(t, url, () => false, 5 * 2 ** 20)
  const { id } = await upload(t, between.url)
  t.match(await keys.get(id), { uploadOffset: BYTES, bytes: BYTES, digest: 'd'.repeat(64) })
  t.equal(between.bodies.filter((bytes) => bytes > 5 * 2 ** 20).length, 1, 'the limit is found once')
})

t.test('the error names a proxy that refuses the smallest part, and its setting', async (t) => {
  const { url } = await service(t)
  const between = await proxy(t, url, limitedTo(100_000))
  await t.rejects(upload(t, between.url), {
    code: 'TOO_LARGE',
    message: /^A proxy in front of http:\S+ \(nginx\/1\.22\.1\) refuses a request body of 262144 bytes/,
    remedy: /client_max_body_size 16m/,
    facts: { status: 413, proxy: 'nginx/1.22.1', sentBytes: 262_144 },
  })
})

t.test('the error of a refused query states its size and the setting of the proxy', async (t) => {
  const { url } = await service(t)
  const query = inferenceRequest({
    inference: 'a',
    model: 'small',
    keySet: 'k',
    manifestDigest: 'd',
    frame: new Uint8Array(20 * 2 ** 20),
    answerBytes: 100,
  })
  const limited = await proxy(t, url, limitedTo(1e6))
  const refused = new Transport(limited.url).send(query)
  // The connection may close before the client has read the answer. The error states the size in both cases.
  await t.rejects(refused, { message: /\b209\d{5} bytes/, remedy: /client_max_body_size/ })
  // The service of the small model would refuse this size at once; this proxy reads the whole body.
  const reading = await proxy(t, url, (request) => request.resume() !== undefined)
  const closing = await proxy(t, reading.url, () => false, 5 * 2 ** 20)
  await t.rejects(new Transport(closing.url).send(query), {
    code: 'SERVER_UNREACHABLE',
    message: /broke off while 209\d{5} bytes were being sent/,
    remedy: /client_max_body_size/,
    facts: { reason: 'broken' },
  })
})

t.test('pages of proxies are recognised as such', async (t) => {
  const { url } = await service(t)
  const answering = async (status: number) => {
    const between = await proxy(t, url, (_request, response) => {
      response.setHeader('retry-after', '0')
      page(response, status, 'Sorry')
      return true
    })
    return connect(between.url, { keys: memoryKeyStore() })
  }
  for (const [status, code, message, remedy] of [
    [401, 'UNAUTHENTICATED', /asks for credentials/, /user:password@host/],
    [403, 'FORBIDDEN', /does not let/, /credentials/],
    [429, 'TOO_BUSY', /takes no more requests/, /later/],
    [500, 'SERVER_UNREACHABLE', /no answer from the server \(status 500\)/, /leads to it/],
    [502, 'SERVER_UNREACHABLE', /no answer from the server \(status 502\)/, /runs/],
    [503, 'TOO_BUSY', /no server behind it/, /runs/],
    [504, 'SERVER_UNREACHABLE', /did not wait/, /proxy_read_timeout/],
    [
      404,
      'CONFIG_INVALID',
      /\(status 404, text\/html, from nginx\/1\.22\.1\) is not what/,
      /proxy_intercept_errors off/,
    ],
    [200, 'CONFIG_INVALID', /\(status 200, text\/html, from nginx\/1\.22\.1\) is not/, /address/],
    [410, 'CONFIG_INVALID', /\(status 410, text\/html, from nginx\/1\.22\.1\) is not/, /error pages/],
  ] as const) {
    await t.rejects(answering(status), { code, message, remedy, facts: { status } }, `${status}`)
  }
  const moving = await proxy(t, url, (_request, response) => {
    response.writeHead(301, { location: 'https://user:secret@elsewhere.example/v2?token=1' }).end()
    return true
  })
  await t.rejects(connect(moving.url, { keys: memoryKeyStore() }), {
    code: 'CONFIG_INVALID',
    message: /redirects to https:\/\/elsewhere\.example\/v2 \(status 301\)/,
  })
})

t.test('a long page of a proxy is recognised, too', async (t) => {
  const { url } = await service(t)
  const between = await proxy(t, url, (_request, response) => {
    response.writeHead(502, { 'content-type': 'text/html', 'retry-after': '0' }).end('<html>'.repeat(50_000))
    return true
  })
  await t.rejects(connect(between.url, { keys: memoryKeyStore() }), { code: 'SERVER_UNREACHABLE' })
})

const withErrorPages = (t: Test, url: string) =>
  proxy(t, url, undefined, undefined, replacingErrors).then((between) => between.url)

t.test('a client uploads lost keys again behind a proxy that replaces error pages', async (t) => {
  const server = await started(t)
  const keys = { ...memoryKeyStore(), temporary: false }
  const url = await withErrorPages(t, server.url)
  const polyveil = await connect(url, { keys })
  /** Deletes the key set on the server, as if it had expired. */
  const lose = async (id: string) => {
    const headers = { 'polyveil-key-set': id }
    t.equal((await fetch(`${server.url}/v2/keys`, { method: 'DELETE', headers })).status, 204)
  }
  const first = await polyveil.keys(MODEL)
  await polyveil.classify(MODEL, image)
  await lose(first.id)
  t.equal((await polyveil.classify(MODEL, image)).length, manifest.output.classes, 'the same connection')
  const second = await polyveil.keys(MODEL)
  t.not(second.id, first.id)
  await lose(second.id)
  const later = await connect(url, { keys })
  t.equal((await later.classify(MODEL, image)).length, manifest.output.classes, 'a later connection')
  await lose((await later.keys(MODEL)).id)
  t.match(await later.keySets.list(), [{ keySets: [{ state: 'gone' }] }])
  await lose((await connect(url, { keys }).then((again) => again.keys(MODEL))).id)
  t.match(await later.keySets.rotate(MODEL), { remaining: [] })
  await lose((await later.keys(MODEL)).id)
  t.match(await later.keySets.delete(), {
    secretKeys: [manifest.parametersDigest],
    keySets: [{ state: 'gone' }],
  })
  await polyveil.close()
  await later.close()
})

t.test('errors that a proxy has replaced name the proxy', async (t) => {
  const { url } = await service(t)
  const behind = await withErrorPages(t, url)
  const polyveil = await connect(behind, { keys: memoryKeyStore() })
  await t.rejects(polyveil.manifest('other'), {
    code: 'CONFIG_INVALID',
    message: /status 404, text\/html, from nginx\/1\.22\.1/,
    remedy: /a proxy replaces the server's error pages.*proxy_intercept_errors off/,
  })
  await t.rejects(storedKeySet(new Transport(behind), 'lost'), {
    code: 'KEYS_EXPIRED',
    message: /^A proxy in front of .* \(nginx\/1\.22\.1\) answers with a page of its own/,
    facts: { status: 410 },
  })
})

t.test(
  'an upload goes on when a proxy has sent a part twice and hides the answer to the second',
  async (t) => {
    const { url, keys } = await service(t)
    const between = await proxy(t, url, undefined, undefined, replacingErrors)
    let parts = 0
    const twice: typeof fetch = async (input, init) => {
      if (init?.method === 'PUT' && parts++ === 1) await fetch(input, init)
      return fetch(input, init)
    }
    const { id } = await uploadKeySet(new Transport(between.url, { fetch: twice }), keySet, chunks(), {})
    t.match(await keys.get(id), { uploadOffset: BYTES, bytes: BYTES })
  },
)

t.test('a client fetches the manifest again when a proxy hides that it has changed', async (t) => {
  const server = new FakeServer()
  const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
  const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15) }
  let hidden = 1
  server.intercept = ({ path }) =>
    path.endsWith('/infer') && hidden-- > 0
      ? new Response('<html>', { status: 409, headers: { 'content-type': 'text/html' } })
      : undefined
  const manifests = () => server.seen.filter(({ path }) => path.endsWith('/manifest')).length
  await polyveil.classify('toy-model', image)
  t.equal(manifests(), 2, 'it begins once more')
  hidden = 2
  await t.rejects(polyveil.classify('toy-model', image), { message: /status 409/ })
  t.equal(manifests(), 3)
  await polyveil.classify('toy-model', image)
  t.equal(manifests(), 4)
})
