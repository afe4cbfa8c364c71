import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { harness, isProblem, query, uploadKeys } from './support.ts'

const ROUTES: [string, string][] = [
  ['get', '/v2'],
  ['get', '/v2/health/live'],
  ['get', '/v2/health/ready'],
  ['get', '/v2/models'],
  ['get', '/v2/models/{model}'],
  ['get', '/v2/models/{model}/ready'],
  ['get', '/v2/models/{model}/manifest'],
  ['get', '/v2/models/{model}/plan'],
  ['post', '/v2/models/{model}/infer'],
  ['get', '/v2/models/{model}/versions/{version}'],
  ['get', '/v2/models/{model}/versions/{version}/ready'],
  ['get', '/v2/models/{model}/versions/{version}/manifest'],
  ['get', '/v2/models/{model}/versions/{version}/plan'],
  ['post', '/v2/models/{model}/versions/{version}/infer'],
  ['post', '/v2/keys'],
  ['put', '/v2/keys'],
  ['get', '/v2/keys'],
  ['delete', '/v2/keys'],
  ['put', '/v2/keys/{id}'],
  ['get', '/v2/keys/{id}'],
  ['delete', '/v2/keys/{id}'],
  ['get', '/v2/inferences/{id}'],
  ['delete', '/v2/inferences/{id}'],
  ['get', '/v2/inferences/{id}/events'],
  ['get', '/v2/inferences/{id}/rounds/{round}'],
  ['get', '/metrics'],
  ['post', '/v2/inferences/{id}/rounds/{round}'],
]

t.test('the OpenAPI 3.1 document describes every route and its binary bodies', async (t) => {
  const h = await harness(t)
  const document = (await h.inject({ url: '/openapi.json' })).json()
  t.match(document.openapi, /^3\.1\./)
  const described = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  )
  t.same(described.sort(), ROUTES.map((route) => route.join(' ')).sort())
  for (const [method, path] of ROUTES) {
    const operation = document.paths[path][method]
    t.ok(operation.summary, `${method} ${path} has a summary`)
  }
  const bodyOf = (method: string, path: string) =>
    Object.keys(document.paths[path][method].requestBody.content)
  t.same(bodyOf('put', '/v2/keys'), ['application/octet-stream'])
  t.same(bodyOf('put', '/v2/keys/{id}'), ['application/octet-stream'])
  t.same(bodyOf('post', '/v2/models/{model}/infer'), ['application/octet-stream'])
  t.same(bodyOf('post', '/v2/keys'), ['application/json'])
  const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)
  for (const [, name] of references) t.ok(document.components.schemas[name], `${name} is defined`)
  const headersOf = (path: string) =>
    (document.paths[path].put.parameters as { in: string; name: string }[])
      .filter((parameter) => parameter.in === 'header')
      .map(({ name }) => name)
  t.same(headersOf('/v2/keys').sort(), ['polyveil-key-set', 'upload-offset'])
  t.same(headersOf('/v2/keys/{id}'), ['upload-offset'])
})

t.test(
  'the documentation page loads under its own content security policy; all other answers have a strict one',
  async (t) => {
    const h = await harness(t)
    const page = await h.inject({ url: '/docs/' })
    t.equal(page.statusCode, 200)
    t.match(page.headers['content-type'], 'text/html')
    t.match(page.headers['content-security-policy'], "script-src 'self'")
    t.notMatch(page.headers['content-security-policy'], 'upgrade-insecure-requests')
    const { headers } = await h.inject({ url: '/v2' })
    t.equal(headers['content-security-policy'], "default-src 'none';frame-ancestors 'none'")
    t.equal(headers['x-content-type-options'], 'nosniff')
    t.ok(headers['x-frame-options'])
    t.notOk(headers['x-powered-by'])
  },
)

t.test('the rate limit answers 429 with the time to wait; health is not counted', async (t) => {
  const h = await harness(t, { security: { requestsPerMinute: 3 } })
  for (let i = 0; i < 3; i++) t.equal((await h.inject({ url: '/v2' })).statusCode, 200)
  const answer = await h.inject({ url: '/v2' })
  isProblem(t, answer, 429, 'TOO_BUSY')
  t.ok(Number(answer.headers['retry-after']) > 0)
  t.equal((await h.inject({ url: '/v2/health/live' })).statusCode, 200)
})

t.test(
  'metrics count requests by route and inferences by outcome, and do not identify clients',
  async (t) => {
    const h = await harness(t)
    const keys = await uploadKeys(h)
    await h.inject(query(keys))
    h.engine.work = () => Promise.reject(new Error('a bug'))
    await h.inject(query(keys))
    const answer = await h.inject({ url: '/metrics' })
    t.match(answer.headers['content-type'], 'text/plain')
    t.match(answer.body, 'polyveil_inferences_total{model="small",outcome="ok"} 1')
    t.match(answer.body, 'polyveil_inferences_total{model="small",outcome="INTERNAL"} 1')
    t.match(answer.body, 'polyveil_key_sets 1')
    const [, peak] = /^polyveil_peak_resident_bytes (\d+)$/m.exec(answer.body) ?? []
    t.ok(Number(peak) > 1e7, `peak of ${peak} bytes`)
    t.match(
      answer.body,
      /polyveil_http_request_seconds_count\{method="PUT",route="\/v2\/keys\/:id",status="200"\} 1/,
    )
    t.notMatch(answer.body, keys)
  },
)

t.test('the log holds no credentials, no bodies and no key set id', async (t) => {
  const h = await harness(t)
  const authorization = 'Bearer open-sesame'
  const keys = await uploadKeys(h)
  await h.inject({
    url: `/v2/keys/${keys}?token=in-the-query`,
    headers: { authorization, cookie: 'session=crumbs' },
  })
  const named = { 'polyveil-key-set': keys, authorization }
  t.equal((await h.inject({ url: '/v2/keys', headers: named })).statusCode, 200)
  await h.inject({ url: `/v2/key/${keys}`, headers: named })
  await h.inject({ url: `/v2/keys/${keys}/more`, headers: named })
  await h.inject({ url: `/v2/keys/${keys}%zz`, headers: named })
  await h.inject(query(keys, { headers: { authorization } }))
  await h.inject({ url: '/v2/nothing/at-all-secret', headers: { authorization } })
  h.engine.work = () => Promise.reject(new Error('a bug'))
  await h.inject(query(keys, { headers: { authorization } }))
  await h.inject({ method: 'POST', url: '/v2/keys', payload: { parametersDigest: 'told-in-body' } })
  const log = h.log()
  t.match(log, '/v2/keys/:id', 'requests are logged')
  t.match(
    log,
    /"route":"\/v2\/keys",[^}]*"keySet":"[0-9a-f]{12}"/,
    'the log names the key set of a request by its hash',
  )
  t.match(log, 'a bug')
  t.match(log, /"keySet":"[0-9a-f]{12}"/)
  for (const secret of [keys, 'open-sesame', 'crumbs', 'in-the-query', 'at-all-secret', 'told-in-body']) {
    t.notMatch(log, secret)
  }
})

t.test('an address has a limited number of open requests, whose bodies take memory', async (t) => {
  const h = await harness(t, { security: { maxOpenRequestsPerAddress: 3 } })
  await h.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = h.app.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const half = [
    'POST /v2/models/small/infer HTTP/1.1',
    'Host: x',
    'Content-Type: application/octet-stream',
    'Inference-Header-Content-Length: 500',
    'Content-Length: 1000',
    '',
    'half of a body',
  ].join('\r\n')
  const sockets = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'))
  for (const socket of sockets) socket.write(half)
  const status = (path: string) => fetch(url + path).then(({ status }) => status)
  while ((await status('/v2')) !== 503) await sleep(10)
  const answer = await fetch(`${url}/v2`)
  t.match(await answer.json(), { code: 'TOO_BUSY', maxOpenRequestsPerAddress: 3 })
  t.equal(answer.headers.get('retry-after'), '1')
  t.equal(await status('/v2/health/live'), 200, 'health checks are not counted')
  for (const socket of sockets) socket.destroy()
  while ((await status('/v2')) !== 200) await sleep(10)
})

t.test('closing the app closes the engine', async (t) => {
  const h = await harness(t)
  await h.app.close()
  t.ok(h.engine.closed)
})
