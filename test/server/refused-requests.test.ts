import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import {
  announce,
  type Harness,
  harness,
  isProblem,
  query,
  untilCancelled,
  uploadKeys,
  watch,
} from './support.ts'

/** Sends bytes over a connection of their own. @returns the answer, as `inject` gives it */
async function exchange(h: Harness, bytes: string): Promise<LightMyRequestResponse> {
  const socket = connect(portOf(h), '127.0.0.1')
  socket.write(bytes, 'latin1')
  return parsed(await text(socket))
}

function parsed(received: string): LightMyRequestResponse {
  const [head, body] = received.split('\r\n\r\n')
  const [line, ...fields] = head.split('\r\n')
  const headers = Object.fromEntries(
    fields.map((field) => [field.split(':')[0].toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]),
  )
  const statusCode = Number(line.split(' ')[1])
  return { statusCode, headers, body, json: () => JSON.parse(body) } as unknown as LightMyRequestResponse
}

const portOf = (h: Harness): number => (h.app.server.address() as AddressInfo).port

async function listening(t: Test): Promise<Harness> {
  const h = await harness(t)
  await h.app.listen({ port: 0, host: '127.0.0.1' })
  return h
}

const get = (url: string, ...lines: string[]): string =>
  [`GET ${url} HTTP/1.1`, 'Host: x', 'Connection: close', ...lines, '', ''].join('\r\n')

function isNamedProblem(t: Test, answer: LightMyRequestResponse, status: number, code: string): void {
  isProblem(t, answer, status, code)
  t.equal(answer.headers['x-request-id'], answer.json().requestId)
  t.equal(Number(answer.headers['content-length'] ?? 0), Buffer.byteLength(answer.body))
}

t.test('what Node cannot parse is answered with a problem document', async (t) => {
  const h = await listening(t)
  const post = 'POST /v2/keys HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  const cases: [what: string, bytes: string, status: number, code: string][] = [
    ['no HTTP at all', 'hello there\r\n\r\n', 400, 'CONFIG_INVALID'],
    ['an unknown method', 'FETCH /v2 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'CONFIG_INVALID'],
    ['a malformed header', get('/v2', 'no colon'), 400, 'CONFIG_INVALID'],
    ['two lengths', `${post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`, 400, 'CONFIG_INVALID'],
    ['a malformed chunk', `${post}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`, 400, 'CONFIG_INVALID'],
    ['no Host', 'GET /v2 HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'CONFIG_INVALID'],
    ['headers that are too large', get('/v2', `X-Long: ${'x'.repeat(20_000)}`), 431, 'TOO_LARGE'],
    ['a URL beyond the limit on heads', get(`/v2?${'x'.repeat(20_000)}`), 414, 'TOO_LARGE'],
    ['another expectation', get('/v2', 'Expect: the-best'), 417, 'CONFIG_INVALID'],
  ]
  for (const [what, bytes, status, code] of cases) {
    await t.test(what, async (t) => {
      isNamedProblem(t, await exchange(h, bytes), status, code)
    })
  }
  t.equal((await exchange(h, get('/v2'))).statusCode, 200, 'the server still serves')
})

t.test('a request that does not arrive in time is 408', async (t) => {
  const h = await harness(t)
  // Node reads these when the server begins to listen.
  Object.assign(h.app.server, { requestTimeout: 50, headersTimeout: 50, connectionsCheckingInterval: 20 })
  await h.app.listen({ port: 0, host: '127.0.0.1' })
  isNamedProblem(t, await exchange(h, 'GET /v2 HTTP/1.1\r\nHost'), 408, 'CONFIG_INVALID')
  const body =
    'POST /v2/keys HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{'
  isNamedProblem(t, await exchange(h, body), 408, 'CONFIG_INVALID')
})

t.test('an answer that is under way is not followed by another one', async (t) => {
  const h = await listening(t)
  h.engine.work = untilCancelled
  const keys = await uploadKeys(h)
  const running = h.inject(query(keys, { header: { id: 'mine' } }))
  while (h.engine.jobs.length === 0) await sleep(1)
  const socket = connect(portOf(h), '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  socket.on('error', () => {})
  socket.write(`GET /v2/inferences/mine/events HTTP/1.1\r\nHost: x\r\nPolyVeil-Key-Set: ${keys}\r\n\r\n`)
  while (!received.includes('event: progress')) await sleep(5)
  socket.write('no request\r\n\r\n')
  await new Promise((resolve) => socket.once('close', resolve))
  t.equal(received.match(/HTTP\/1\.1/g)?.length, 1)
  await h.inject({ ...watch('mine', keys), method: 'DELETE' })
  await running
})

t.test('bad escapes and long paths are refused', async (t) => {
  const h = await listening(t)
  for (const url of ['/v2/models/%zz', '/v2/models/%', '/v2/models/%ff%fe']) {
    const answer = await h.inject({ url })
    isProblem(t, answer, 400, 'CONFIG_INVALID')
    t.equal(answer.headers['x-request-id'], answer.json().requestId)
    isNamedProblem(t, await exchange(h, get(url)), 400, 'CONFIG_INVALID')
  }
  for (const url of [
    `/v2/models/${'m'.repeat(129)}`,
    `/v2/keys/${'k'.repeat(200)}`,
    `/v2?${'q'.repeat(5000)}`,
    `/${'p'.repeat(5000)}`,
  ])
    isProblem(t, await h.inject({ url }), 414, 'TOO_LARGE')
  isProblem(t, await h.inject({ url: `/v2/models/${'m'.repeat(128)}` }), 404, 'MODEL_UNKNOWN')
})

t.test('a known path with another method is 405 with Allow, and an unknown path is 404', async (t) => {
  const h = await harness(t)
  const cases: [method: string, url: string, allow: string[]][] = [
    ['POST', '/v2', ['GET', 'HEAD', 'OPTIONS']],
    ['PATCH', '/v2/keys', ['DELETE', 'GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']],
    ['GET', '/v2/models/small/infer', ['POST', 'OPTIONS']],
    ['HEAD', '/v2/models/small/infer', ['POST', 'OPTIONS']],
    ['DELETE', '/v2/models/small?x=1', ['GET', 'HEAD', 'OPTIONS']],
    ['PROPFIND', '/v2/models/small', ['GET', 'HEAD', 'OPTIONS']],
    ['PUT', '/metrics', ['GET', 'HEAD', 'OPTIONS']],
    ['TRACE', '/v2/inferences/x/rounds/0', ['GET', 'HEAD', 'POST', 'OPTIONS']],
  ]
  for (const [method, url, allow] of cases) {
    const answer = await h.inject({ method: method as 'GET', url })
    t.equal(answer.statusCode, 405, `${method} ${url}`)
    t.strictSame(String(answer.headers.allow).split(', '), allow)
    if (method !== 'HEAD') isProblem(t, answer, 405, 'CONFIG_INVALID', { allow })
  }
  for (const method of ['GET', 'POST', 'OPTIONS', 'PROPFIND'] as const) {
    const headers = { 'content-type': 'text/strange' }
    const answer = await h.inject({ method: method as 'GET', url: '/v2/nothing', headers, payload: 'x' })
    isProblem(t, answer, 404, 'CONFIG_INVALID')
    t.equal(answer.headers.allow, undefined)
  }
})

t.test('OPTIONS says what a path takes; HEAD answers like GET without a body', async (t) => {
  const h = await listening(t)
  const options = await h.inject({ method: 'OPTIONS', url: '/v2/keys' })
  t.equal(options.statusCode, 204)
  t.equal(options.headers.allow, 'DELETE, GET, HEAD, POST, PUT, OPTIONS')
  t.equal((await exchange(h, get('*').replace('GET', 'OPTIONS'))).statusCode, 204)
  for (const url of ['/v2', '/v2/models/small/manifest', '/openapi.json', '/metrics']) {
    const head = await h.inject({ method: 'HEAD', url })
    const { headers } = await h.inject({ url })
    t.equal(head.statusCode, 200)
    t.equal(head.body, '')
    t.equal(head.headers['content-type'], headers['content-type'], url)
    t.equal(head.headers.etag, headers.etag)
  }
  isProblem(t, await h.inject({ url: '/v2/models/none' }), 404, 'MODEL_UNKNOWN')
  t.equal((await h.inject({ method: 'HEAD', url: '/v2/models/none' })).statusCode, 404)

  const origin = 'https://app.example'
  const open = await harness(t, { security: { allowedOrigins: [origin] } })
  for (const headers of [{}, { origin }]) {
    const answer = await open.inject({ method: 'OPTIONS', url: '/v2/keys', headers })
    t.equal(answer.statusCode, 204, 'no preflight request, yet no error')
  }
})

t.test('a body of another content type is 415; one without is taken as bytes', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const { headers, ...request } = query(keys)
  const { 'content-type': _, ...untyped } = headers as Record<string, string>
  t.equal((await h.inject({ ...request, headers: untyped })).statusCode, 200)
  const withParameter = { ...headers, 'content-type': 'Application/Octet-Stream; q=1' }
  t.equal((await h.inject({ ...request, headers: withParameter })).statusCode, 200)
  const accepted = 'application/octet-stream'
  for (const type of ['application/json', 'text/plain', 'multipart/form-data', 'nonsense'])
    isProblem(
      t,
      await h.inject({ ...request, headers: { ...headers, 'content-type': type } }),
      415,
      'CONFIG_INVALID',
      { accepted },
    )
  for (const type of [
    'application/octet-stream',
    'application/x-www-form-urlencoded',
    'text/plain',
    undefined,
  ])
    isProblem(
      t,
      await h.inject({
        method: 'POST',
        url: '/v2/keys',
        payload: Buffer.from('{}'),
        headers: type ? { 'content-type': type } : {},
      }),
      415,
      'CONFIG_INVALID',
      { accepted: 'application/json' },
    )
})

t.test('a body that is too large is 413', async (t) => {
  const h = await harness(t)
  const payload = JSON.stringify({ bytes: 'x'.repeat(300_000) })
  const headers = { 'content-type': 'application/json' }
  isProblem(t, await h.inject({ method: 'POST', url: '/v2/keys', headers, payload }), 413, 'TOO_LARGE')
})

t.test('while the server shuts down, requests on open connections are refused as a problem', async (t) => {
  const h = await listening(t)
  const work = Promise.withResolvers<Uint8Array>()
  h.engine.work = () => work.promise
  const running = h.inject(query(await uploadKeys(h), { header: { id: 'mine' } }))
  while (h.engine.jobs.length === 0) await sleep(1)
  const socket = connect(portOf(h), '127.0.0.1')
  await once(socket, 'connect')
  const closed = h.app.close()
  await sleep(20)
  socket.write(get('/v2'))
  const refused = parsed(await text(socket))
  work.resolve(new Uint8Array(1))
  await Promise.all([closed, running])
  isProblem(t, refused, 503, 'TOO_BUSY')
  t.ok(refused.headers['retry-after'])
})

t.test('every answer names its request', async (t) => {
  const h = await harness(t)
  const seen = new Set<unknown>()
  const urls = [
    '/',
    '/v2',
    '/v2/health/live',
    '/v2/models/none',
    '/nothing',
    '/metrics',
    '/docs/',
    '/openapi.json',
  ]
  for (const url of urls) {
    const { headers } = await h.inject({ url, headers: { 'x-request-id': 'of the client' } })
    t.match(headers['x-request-id'], /^[0-9a-f-]{36}$/, url)
    seen.add(headers['x-request-id'])
  }
  t.equal(seen.size, urls.length)
  const [id] = seen
  t.match(h.log(), `"reqId":"${id}"`, 'the log has the same id')
})

t.test('a compressed body is 415, and not taken for what it stands for', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const coded = { 'content-encoding': 'gzip' }
  isProblem(t, await h.inject(query(keys, { headers: coded })), 415, 'CONFIG_INVALID', {
    accepted: 'identity',
  })
  const { id } = (await announce(h)).json()
  const part = { method: 'PUT', url: `/v2/keys/${id}`, payload: Buffer.alloc(10) } as const
  const headers = { 'content-type': 'application/octet-stream', 'upload-offset': '0' }
  isProblem(t, await h.inject({ ...part, headers: { ...headers, ...coded } }), 415, 'CONFIG_INVALID')
  const plain = await h.inject({ ...part, headers: { ...headers, 'content-encoding': 'identity' } })
  t.equal(plain.statusCode, 200)
})
