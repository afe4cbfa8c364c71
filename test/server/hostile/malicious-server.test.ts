import fc from 'fast-check'
import t, { type Test } from 'tap'
import { connect, memoryKeyStore } from '../../../src/client/index.ts'
import { forgedManifest, type Loose } from '../../circuit/forged.ts'
import { binaryAnswer, FakeServer, type Handler, manifest, ORIGIN } from '../../client/fake-server.ts'
import { hostileBytes, hostileText, neverFails } from './fuzz.ts'

// A server that lies to the SDK: answers of every form, states that never end, other manifests. The SDK ends
// each call with a documented error, and sends neither keys nor queries that it should not.

const MODEL = 'toy-model'
const LIMITS = { limits: { maxInferenceSeconds: 2, maxKeysSeconds: 30 } }

async function connected(server = new FakeServer(), options = {}) {
  const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, ...options })
  return { server, polyveil }
}

const onInfer =
  (answer: () => Response | Promise<Response>): Handler =>
  ({ path }) =>
    path.endsWith('/infer') ? answer() : undefined

const endless = (chunk: number, sent: { chunks: number }): ReadableStream =>
  new ReadableStream({
    pull(controller) {
      sent.chunks++
      controller.enqueue(new Uint8Array(chunk))
    },
  })

t.test('replies that announce or send gigabytes are refused at once', async (t: Test) => {
  const { server, polyveil } = await connected()
  const frame = await polyveil.encrypt(MODEL, { width: 3, height: 5, channels: 1, data: new Uint8Array(15) })
  for (const length of [2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const sent = { chunks: 0 }
    server.intercept = onInfer(
      () => new Response(endless(2 ** 16, sent), { headers: { 'content-length': String(length) } }),
    )
    await t.rejects(polyveil.infer(MODEL, frame), { code: 'TOO_LARGE' }, `${length} announced bytes`)
    t.ok(sent.chunks < 10, `${sent.chunks} chunks were read`)
  }
  for (const path of ['v2/models', `v2/models/${MODEL}/manifest`]) {
    const sent = { chunks: 0 }
    const lying = new FakeServer()
    lying.intercept = (seen) => (seen.path === path ? new Response(endless(2 ** 16, sent)) : undefined)
    const other = (await connected(lying)).polyveil
    const asked: Promise<unknown> = path.endsWith('models') ? other.models() : other.manifest(MODEL)
    await t.rejects(asked, { code: 'TOO_LARGE' })
    t.ok(sent.chunks < 2000, `${sent.chunks} chunks were read of ${path}`)
  }
})

t.test('a parameter set that is too weak, and another manifest, get no keys', async (t: Test) => {
  const edits: ((m: Loose) => void)[] = [
    (m) => m.parameters.primes.push(...m.parameters.primes),
    (m) => {
      m.parameters.ring = 1024
    },
    (m) => {
      m.parameters.primes = Array(64).fill(m.parameters.primes[0])
    },
  ]
  for (const edit of edits) {
    const { server, polyveil } = await connected()
    server.manifest = forgedManifest(manifest, edit)
    await t.rejects(polyveil.keys(MODEL), { code: /^(SECURITY_TOO_LOW|CONFIG_INVALID|PARAMETERS_MISMATCH)$/ })
    t.equal(server.keySets.size, 0, 'no key is sent')
  }
})

t.test('redirects are not followed', async (t: Test) => {
  for (const status of [301, 307]) {
    const { server, polyveil } = await connected()
    const frame = await polyveil.encrypt(MODEL, {
      width: 3,
      height: 5,
      channels: 1,
      data: new Uint8Array(15),
    })
    const location = 'http://elsewhere.test/v2/keys'
    server.intercept = ({ method, path }) =>
      method === 'POST' || path.endsWith('/infer')
        ? new Response(null, { status, headers: { location } })
        : undefined
    await t.rejects(polyveil.infer(MODEL, frame), { message: /redirects to http:\/\/elsewhere\.test/ })
    t.ok(
      server.seen.every(({ path }) => !path.includes('elsewhere')),
      'nothing is sent there',
    )
  }
})

t.test('an inference whose state never ends is given up at the limit of its time', async (t: Test) => {
  const slow = forgedManifest(manifest, (m) => {
    m.estimate.seconds = 60
  })
  const server = new FakeServer()
  server.manifest = slow
  let asked = 0
  let cancelled = 0
  server.intercept = ({ method, path }) => {
    if (path.endsWith('/infer')) {
      return Response.json(
        { id: 'i', state: 'waiting' },
        { status: 202, headers: { 'preference-applied': 'respond-async' } },
      )
    }
    if (path.startsWith('v2/inferences/') && method === 'DELETE') {
      cancelled++
      return new Response(null, { status: 204 })
    }
    if (!path.startsWith('v2/inferences/')) return undefined
    asked++
    return Response.json({ state: 'running' })
  }
  const { polyveil } = await connected(server, LIMITS)
  await t.rejects(
    polyveil.classify(MODEL, { width: 3, height: 5, channels: 1, data: new Uint8Array(15).fill(90) }),
    { code: 'SERVER_UNREACHABLE', message: /did not finish an inference within 2 seconds/ },
  )
  t.ok(asked >= 1, 'the client asked for the state')
  t.ok(asked < 10, 'and not without a pause')
  t.ok(cancelled >= 1, 'the inference is cancelled')
})

t.test('an answer 202 whose body never ends is given up, too', async (t: Test) => {
  const server = new FakeServer()
  server.manifest = forgedManifest(manifest, (m) => {
    m.estimate.seconds = 60
  })
  // As the platform's fetch does, the body fails when the request is aborted.
  const stuck: typeof fetch = async (url, init) => {
    if (!String(url).endsWith('/infer')) return server.fetch(url, init)
    const body = new ReadableStream({
      start(controller) {
        init?.signal?.addEventListener('abort', () => controller.error(init.signal?.reason))
      },
    })
    return new Response(body, { status: 202, headers: { 'preference-applied': 'respond-async' } })
  }
  const { polyveil } = await connected(server, { ...LIMITS, fetch: stuck })
  await t.rejects(
    polyveil.classify(MODEL, { width: 3, height: 5, channels: 1, data: new Uint8Array(15).fill(90) }),
    { code: 'SERVER_UNREACHABLE' },
  )
})

t.test('any answer to a query is decrypted or refused with a code', async (t: Test) => {
  const { server, polyveil } = await connected()
  const frame = await polyveil.encrypt(MODEL, { width: 3, height: 5, channels: 1, data: new Uint8Array(15) })
  const honest = await polyveil.infer(MODEL, frame)
  const whole = new Uint8Array(await binaryAnswer(honest).arrayBuffer())
  const length = whole.length - honest.length
  const answers = fc.record({
    body: hostileBytes([whole]),
    length: fc.oneof(
      fc.constant(String(length)),
      fc.constantFrom('', '-1', '1e3', '65537', 'x', '99999999999'),
    ),
    status: fc.constantFrom(200, 200, 200, 200, 400, 404, 409, 410, 422, 500, 507),
    type: fc.constantFrom('application/octet-stream', 'application/problem+json', 'text/html'),
  })
  await neverFails(answers, 60, async ({ body, length, status, type }) => {
    const headers = { 'inference-header-content-length': length, 'content-type': type, 'retry-after': '0' }
    server.intercept = onInfer(() => new Response(Buffer.from(body), { status, headers }))
    await polyveil.decrypt(MODEL, await polyveil.infer(MODEL, frame))
  })
  server.intercept = () => undefined
  t.strictSame(await polyveil.infer(MODEL, frame).then(({ length }) => length), honest.length)
})

t.test('any document of a server is read or refused with a code', async (t: Test) => {
  const documents = [
    JSON.stringify(manifest),
    '{"models":[{"name":"toy-model","labels":["a","b"]}]}',
    '{"extensions":["polyveil_ckks"],"name":"x","version":"1"}',
    '{"code":"TOO_BUSY","detail":"full","remedy":"wait","retryAfter":0,"type":"urn:x","title":"t","status":503}',
    '{"id":"k","uploadOffset":0,"bytes":5,"complete":false,"expires":"2099-01-01T00:00:00.000Z"}',
  ]
  const input = fc.tuple(
    fc.oneof(hostileText(...documents), fc.json()),
    fc.constantFrom(200, 200, 201, 400, 404, 410, 422),
    fc.constantFrom('v2', 'v2/models', 'manifest', 'keys'),
  )
  await neverFails(input, 60, async ([text, status, where]) => {
    const server = new FakeServer()
    server.intercept = ({ path }) =>
      path === where || (where.length < 9 && where !== 'v2' && path.endsWith(where))
        ? new Response(text, { status, headers: { 'content-type': 'application/json' } })
        : undefined
    const { polyveil } = await connected(server, LIMITS)
    if (where === 'v2/models') await polyveil.models()
    else await polyveil.manifest(MODEL)
  })
  t.pass()
})
