import t from 'tap'
import { harness, isProblem, query, uploadKeys } from './support.ts'

const PAGE = 'https://app.example'
const OTHER = 'https://other.example'
const allowing = { security: { allowedOrigins: [PAGE] } }

/** The preflight request of a browser for a query. */
const preflight = (origin: string, url = '/v2/models/small/infer', method = 'POST') => ({
  method: 'OPTIONS' as const,
  url,
  headers: {
    origin,
    'access-control-request-method': method,
    'access-control-request-headers': 'content-type,inference-header-content-length',
  },
})

const listOf = (header: unknown): string[] =>
  String(header)
    .split(',')
    .map((item) => item.trim().toLowerCase())

t.test('by default pages of other origins get no access', async (t) => {
  const h = await harness(t)
  for (const request of [preflight(PAGE), { url: '/v2', headers: { origin: PAGE } }]) {
    const { headers } = await h.inject(request)
    t.strictSame(
      Object.keys(headers).filter((name) => name.startsWith('access-control-')),
      [],
    )
  }
})

t.test('a page of an allowed origin may send all headers that the SDK sends', async (t) => {
  const h = await harness(t, allowing)
  for (const [url, method] of [
    ['/v2', 'GET'],
    ['/v2/models/small/infer', 'POST'],
    ['/v2/keys/an-id', 'PUT'],
    ['/v2/inferences/an-id/rounds/0', 'POST'],
    ['/v2/inferences/an-id', 'DELETE'],
  ]) {
    const { statusCode, headers, body } = await h.inject(preflight(PAGE, url, method))
    t.equal(statusCode, 204, url)
    t.equal(body, '')
    t.equal(headers['access-control-allow-origin'], PAGE)
    t.ok(listOf(headers['access-control-allow-methods']).includes(method.toLowerCase()), method)
    t.strictSame(listOf(headers['access-control-allow-headers']).sort(), [
      'authorization',
      'content-type',
      'inference-header-content-length',
      'polyveil-key-set',
      'prefer',
      'upload-offset',
    ])
    t.equal(headers['access-control-max-age'], '7200')
    t.equal(headers['access-control-allow-credentials'], undefined)
  }
})

t.test('a page of an allowed origin may read all headers that the SDK reads, also of refusals', async (t) => {
  const h = await harness(t, { security: { ...allowing.security, requestsPerMinute: 30 } })
  const request = query(await uploadKeys(h))
  const answer = await h.inject({ ...request, headers: { ...request.headers, origin: PAGE } })
  t.equal(answer.statusCode, 200)
  const absent = await h.inject({ url: '/v2/models/none', headers: { origin: PAGE } })
  isProblem(t, absent, 404, 'MODEL_UNKNOWN')
  const noRoute = await h.inject({ url: '/nothing', headers: { origin: PAGE } })
  isProblem(t, noRoute, 404, 'CONFIG_INVALID')
  let refused = absent
  for (let i = 0; i < 40 && refused.statusCode !== 429; i++)
    refused = await h.inject({ url: '/v2', headers: { origin: PAGE } })
  isProblem(t, refused, 429, 'TOO_BUSY')
  t.ok(refused.headers['retry-after'])
  for (const { headers, statusCode } of [answer, absent, noRoute, refused]) {
    t.equal(headers['access-control-allow-origin'], PAGE, `status ${statusCode}`)
    t.match(headers.vary, /\borigin\b/i, 'caches know that the answer depends on the origin')
    t.strictSame(listOf(headers['access-control-expose-headers']).sort(), [
      'inference-header-content-length',
      'location',
      'preference-applied',
      'retry-after',
      'x-request-id',
    ])
    t.ok(headers['x-request-id'])
  }
})

t.test('pages of other origins than the allowed ones get no access', async (t) => {
  const h = await harness(t, allowing)
  for (const origin of [OTHER, 'null', `${PAGE}.evil.example`, 'http://app.example', `${PAGE}:8443`]) {
    for (const request of [preflight(origin), { url: '/v2', headers: { origin } }]) {
      const { headers } = await h.inject(request)
      t.equal(headers['access-control-allow-origin'], undefined, origin)
    }
  }
})
