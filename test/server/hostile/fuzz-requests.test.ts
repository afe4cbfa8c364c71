import fc from 'fast-check'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { ERROR_CODES } from '../../../src/errors/index.ts'
import { createToken } from '../../../src/server/access/manage-tokens.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { Tenants } from '../../../src/server/access/tenants.ts'
import { parameters } from '../../circuit/circuits.ts'
import { elements, harness, keyBytes, model, patterned, query, uploadKeys } from '../support.ts'
import { hostileBytes, hostileText, neverFails } from './fuzz.ts'
import { head, listening, RawClient } from './raw-client.ts'

// Requests: arbitrary ones, and mutated good ones. Each is answered, with a status and a code that
// docs/http-api.md knows, and never with a fault of the server.

const STATUSES = [
  200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 410, 413, 414, 415, 417, 422, 429, 431, 503, 507,
]
const SECURITY = { security: { requestsPerMinute: 1e9 } }
const OCTETS = 'application/octet-stream'

function requireKnown(answer: LightMyRequestResponse): void {
  const { statusCode, headers, body } = answer
  if (!STATUSES.includes(statusCode)) throw new Error(`status ${statusCode}: ${body}`)
  if (statusCode < 400 || body === '') return
  const isProblem = headers['content-type'] === 'application/problem+json'
  const { code, status, requestId } = isProblem ? answer.json() : {}
  const isKnown = Object.hasOwn(ERROR_CODES, code ?? '') && code !== 'INTERNAL' && status === statusCode
  if (!isKnown || !requestId) throw new Error(`${statusCode}: ${body}`)
  if (/\n\s+at |node_modules/.test(body)) throw new Error('a stack')
  if ([429, 503].includes(statusCode) && !headers['retry-after']) throw new Error('no Retry-After')
}

/** Values that can be in a header at all. */
const headerText = (...seeds: string[]): fc.Arbitrary<string> =>
  hostileText(...seeds).map((text) => text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '').slice(0, 500))

// Without room for both, an announcement takes the place of a complete set of its client.
const ROOM = { ...SECURITY, limits: { maxSets: 1000, maxTotalBytes: 1e12, maxUploadsPerOwner: 1000 } }

async function service(t: Test) {
  const h = await harness(t, ROOM)
  const keys = await uploadKeys(h)
  const tried = async (request: InjectOptions): Promise<void> => requireKnown(await h.inject(request))
  const stillServes = async (): Promise<void> => {
    t.equal((await h.inject(query(keys))).statusCode, 200, 'a good query is answered afterwards')
    t.notMatch(h.log(), /"level":(50|60)/, 'no fault is logged')
  }
  return { h, keys, tried, stillServes }
}

t.test('bodies of queries', async (t) => {
  const { keys, tried, stillServes } = await service(t)
  const good = query(keys, { header: { id: 'x' } })
  const whole = new Uint8Array(good.payload as Buffer)
  const length = Number((good.headers as Record<string, string>)['inference-header-content-length'])
  const json = Buffer.from(whole.subarray(0, length)).toString()
  const frame = patterned(model.queryBytes)
  const bodies = hostileBytes([whole]).map((body) => [length, body] as const)
  const parts = hostileText(json).map((text) => {
    const head = Buffer.from(text)
    return [head.length, Buffer.concat([head, frame])] as const
  })
  const documents = fc.jsonValue().map((value) => {
    const head = Buffer.from(JSON.stringify(value))
    return [head.length, Buffer.concat([head, frame])] as const
  })
  await neverFails(fc.oneof(bodies, parts, documents), 200, ([length, body]) =>
    tried({
      ...good,
      headers: { 'content-type': OCTETS, 'inference-header-content-length': String(length) },
      payload: Buffer.from(body),
    }),
  )
  await stillServes()
})

t.test('announcements and parts of key sets', async (t) => {
  const { h, tried, stillServes } = await service(t)
  const good = JSON.stringify({
    parametersDigest: parameters.digest,
    bytes: keyBytes,
    galoisElements: elements,
  })
  const inputs = fc.oneof(hostileText(good), fc.json())
  await neverFails(inputs, 200, (payload) =>
    tried({ method: 'POST', url: '/v2/keys', headers: { 'content-type': 'application/json' }, payload }),
  )
  const { id } = (await h.inject({ method: 'POST', url: '/v2/keys', payload: JSON.parse(good) })).json()
  const part = fc.record({
    offset: headerText('0', '100', '1e3', '0x10', '-0', '00'),
    set: headerText(id),
    payload: fc.uint8Array({ maxLength: 50 }),
  })
  await neverFails(part, 150, ({ offset, set, payload }) =>
    tried({
      method: 'PUT',
      url: '/v2/keys',
      headers: { 'content-type': OCTETS, 'upload-offset': offset, 'polyveil-key-set': set },
      payload: Buffer.from(payload),
    }),
  )
  await stillServes()
})

t.test('headers, paths and methods', async (t) => {
  const { keys, tried, stillServes } = await service(t)
  const good = query(keys)
  const headers = fc.record(
    {
      prefer: headerText('respond-async', 'return=minimal, wait=5', 'respond-async;x="a,b"'),
      'inference-header-content-length': headerText('200', '0'),
      'content-type': headerText(OCTETS, 'application/json; charset=utf-8'),
      'polyveil-key-set': headerText(keys),
      'if-none-match': headerText(`"${model.manifest.digest}"`, 'W/"x", *'),
      range: headerText('bytes=0-5', 'bytes=-1,5-2'),
      accept: headerText('text/html', '*/*;q=0.1'),
      expect: headerText('100-continue'),
      'accept-encoding': headerText('gzip, br;q=0'),
      'x-forwarded-for': headerText('10.0.0.1, ::1'),
      authorization: headerText('Bearer x', 'Basic eDp5'),
      origin: headerText('https://a.example'),
    },
    { requiredKeys: [] },
  )
  const segment = hostileText('small', 'models', '1', keys, '..', '%2e%2e', 'infer').map(encodeURIComponent)
  const paths = fc.oneof(
    fc.constantFrom(good.url as string, '/v2/models/small/manifest', '/v2/keys', '/v2/models', '/'),
    segment.map((x) => `/v2/models/${x}/infer`),
    segment.map((x) => `/v2/models/${x}/versions/${x}`),
    segment.map((x) => `/v2/keys/${x}`),
    fc.tuple(segment, segment).map(([x, y]) => `/v2/inferences/${x}/rounds/${y}`),
    segment.map((x) => `/v2/inferences/${x}/events`),
    fc.array(segment, { maxLength: 4 }).map((all) => `/${all.join('/')}`),
    hostileText('/v2/models?x=%zz&y', '/docs/%00').map((text) => `/${text.replaceAll(/[^\x21-\x7e]/g, '')}`),
  )
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH') as fc.Arbitrary<
    'GET' | 'POST' | 'PUT'
  >
  await neverFails(fc.tuple(method, paths, headers), 400, ([method, url, headers]) => {
    const body = method === 'POST' || method === 'PUT'
    return tried({
      method,
      url,
      headers: { ...(body && (good.headers as object)), ...headers },
      ...(body && { payload: good.payload as Buffer }),
    })
  })
  await stillServes()
})

t.test('tokens', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  const { text } = await createToken(files, { tenant: 'clinic', scopes: ['infer'], quota: {} })
  const tenants = new Tenants(files, { info() {}, warn() {} })
  await tenants.refresh()
  const h = await harness(t, { ...SECURITY, tenants })
  const good = `Bearer ${text}`
  await neverFails(headerText(good, `bearer  ${text}`, `Basic ${text}`), 300, async (authorization) => {
    const answer = await h.inject({ url: '/v2/models', headers: { authorization } })
    requireKnown(answer)
    const isGood = new RegExp(`^bearer +${text} *$`, 'i').test(authorization.trim())
    if (!isGood && answer.statusCode !== 401) throw new Error(`${answer.statusCode} for ${authorization}`)
  })
  t.equal((await h.inject({ url: '/v2/models', headers: { authorization: good } })).statusCode, 200)
  t.notMatch(h.log(), text.slice(-43), 'no secret is logged')
})

t.test('bytes on a connection', async (t) => {
  const { h, keys, stillServes } = await service(t)
  const url = await listening(h, {
    requestTimeout: 500,
    headersTimeout: 500,
    connectionsCheckingInterval: 50,
  })
  const { payload, headers } = query(keys)
  const fields = Object.entries(headers as Record<string, string>).map(([name, value]) => `${name}: ${value}`)
  const body = (payload as Buffer).subarray(0, 500)
  const good = [
    Buffer.concat([Buffer.from(head('POST /v2/models/small/infer', ...fields, 'Content-Length: 500')), body]),
    Buffer.from(head('GET /v2/models', 'Connection: close')),
    Buffer.from(
      `${head('POST /v2/keys', 'Content-Type: application/json', 'Transfer-Encoding: chunked')}3\r\n{"a\r\n0\r\n\r\n`,
    ),
  ].map((bytes) => new Uint8Array(bytes))
  const batch = fc.array(hostileBytes(good), { minLength: 20, maxLength: 20 })
  // Each run has twenty connections at once.
  await neverFails(batch, 5, async (requests) => {
    await Promise.all(
      requests.map(async (bytes) => {
        const client = await RawClient.open(h)
        client.write(bytes)
        client.socket.end()
        await client.closed
        const unknown = client.statuses.filter((status) => !STATUSES.includes(status) && status !== 408)
        if (unknown.length > 0) throw new Error(client.received)
      }),
    )
  })
  t.equal((await fetch(`${url}/v2/health/live`)).status, 200)
  await stillServes()
})
