import { join } from 'node:path'
import t from 'tap'
import type { App } from '../../../src/server/services.ts'
import { serving } from '../serving.ts'
import { circuit, harness, isProblem } from '../support.ts'
import { guarded } from './guarded.ts'

const FORWARDED: Record<string, string>[] = [
  { forwarded: 'for=192.0.2.1' },
  { 'x-forwarded-for': '192.0.2.1' },
  { 'x-forwarded-proto': 'https' },
  { 'x-real-ip': '192.0.2.1' },
  { via: '1.1 proxy' },
]
const FOREIGN_HOSTS = [
  'evil.example',
  'localhost.evil.example:8080',
  '192.0.2.1',
  '[2001:db8::1]:80',
  '127.0.0.1.evil.example',
  '%%',
]
const OWN_HOSTS = [
  'localhost',
  'localhost:8080',
  '127.0.0.1:1',
  '127.9.9.9',
  '[::1]:8080',
  'LOCALHOST',
  'demo.localhost:80',
]

const status = async (app: App, headers: Record<string, string>, url = '/v2/models'): Promise<number> =>
  (await app.inject({ url, headers })).statusCode

t.test('a service that is open by default serves its own machine only', async (t) => {
  const h = await harness(t, { isLocal: true })
  const strange = [...FORWARDED, ...FOREIGN_HOSTS.map((host) => ({ host }))]
  for (const headers of strange) {
    for (const url of ['/', '/v2', '/v2/models', '/metrics', '/docs/', '/openapi.json']) {
      const answer = await h.inject({ url, headers: { ...headers } })
      isProblem(t, answer, 403, 'FORBIDDEN')
      t.match(answer.json().detail, /may set access to tokens or open, .* trustProxy$/)
    }
    for (const url of ['/v2/health/live', '/v2/health/ready'])
      t.equal(await status(h.app, { ...headers }, url), 200)
  }
  for (const host of OWN_HOSTS) t.equal(await status(h.app, { host }), 200, host)
})

t.test('a browser that is refused gets a page that says what to do', async (t) => {
  const h = await harness(t, { isLocal: true })
  const get = (headers: Record<string, string>) =>
    h.inject({ url: '/', headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', ...headers } })
  const renamed = await get({ host: 'classify.example:8080' })
  t.equal(renamed.statusCode, 403)
  t.match(renamed.headers, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': /default-src 'none'/,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    vary: 'accept',
  })
  t.match(renamed.body, /<code>classify\.example:8080<\/code>: its header Host names no loopback address/)
  t.match(renamed.body, /open <a href="http:\/\/127\.0\.0\.1.*POLYVEIL_ACCESS/s)
  t.match((await get(FORWARDED[3])).body, /by way of a proxy \(header x-real-ip\).*POLYVEIL_TRUST_PROXY/s)
  const hostile = (await get({ host: `<script>alert('1')</script>${'x'.repeat(5000)}` })).body
  t.notMatch(hostile, '<script')
  t.match(hostile, '&lt;script&gt;')
  t.ok(hostile.length < 3000)
  t.match(await get({ host: 'localhost:8080' }), { statusCode: 200 })
})

t.test('the service that a configuration describes refuses or takes such requests', async (t) => {
  const proxied = { 'x-forwarded-for': '192.0.2.1' }
  const rebound = { host: 'evil.example' }
  const cases = [
    [{}, 403],
    [{ access: 'open' }, 200],
    [{ access: 'tokens' }, 401],
    [{ trustProxy: true }, 401],
  ] as const
  const directory = t.testdir({})
  for (const [i, [settings, expected]] of cases.entries()) {
    const { app } = await serving(t, circuit, { dataDir: join(directory, String(i)), ...settings }, directory)
    t.equal(await status(app, proxied), expected, JSON.stringify(settings))
    t.equal(await status(app, rebound), expected, JSON.stringify(settings))
    t.equal(await status(app, {}), expected === 403 ? 200 : expected)
  }
})

t.test('the page at the root names no models to strangers', async (t) => {
  const page = { url: '/', headers: { accept: 'text/html' } }
  const { h } = await guarded(t, [{ tenant: 'clinic' }])
  const { body } = await h.inject(page)
  t.notMatch(body, 'small')
  t.match(body, /need a token/)
  t.match((await (await harness(t)).inject(page)).body, '<code>small</code>')
})
