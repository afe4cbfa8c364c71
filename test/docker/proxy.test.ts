import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { CIRCUITS, ROOT } from '../../scripts/building/paths.ts'
import { configSchema } from '../../src/server/config.ts'
import { MAX_PART_BYTES } from '../../src/wire/protocol/index.ts'
import { startService } from '../cli/service.ts'
import { polyveil, zooPath } from '../cli/support.ts'
import { type Harness, harness, patterned, query, uploadKeys } from '../server/support.ts'
import { isThorough } from '../support/thorough.ts'
import {
  CERTIFICATE,
  type Http2Client,
  hasNginx,
  http2Client,
  type RunningProxy,
  startProxy,
} from './proxy.ts'

// The service behind nginx with the file that docker/ has.

const skip = !hasNginx && 'nginx is not installed (apt-get install nginx-light)'
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const BYTES = { 'content-type': 'application/octet-stream' }

/** A service with an engine that the test steers, behind the proxy. */
async function behindProxy(
  t: Test,
  changes?: Record<string, string>,
): Promise<Harness & { proxy: RunningProxy }> {
  const h = await harness(t, { trustProxy: 1 })
  const service = await h.app.listen({ port: 0, host: '127.0.0.1' })
  return { ...h, proxy: await startProxy(t, service, t.testdir(), changes) }
}

/** Sends a query. @returns its answer */
function infer(client: Http2Client, keySet: string): ReturnType<Http2Client['request']> {
  const { url, headers, payload } = query(keySet, { header: { id: 'one' } })
  return client.request('POST', url as string, headers as Record<string, string>, payload as Buffer)
}

t.test('clients classify through the proxy, and send key sets in parts', { skip }, async (t) => {
  const folder = t.testdir()
  const config = join(folder, 'service.json')
  writeFileSync(config, JSON.stringify({ trustProxy: '1', access: 'open' }))
  const service = await startService(join(folder, 'data'), '--models', CIRCUITS, '--config', config)
  t.teardown(() => service.stop())
  const { url, log } = await startProxy(t, service.url, folder)
  const client = http2Client(t, url)
  t.match((await client.request('GET', '/v2/models/digits')).body, '"polyveil_ckks"')

  const picture = zooPath('digits/images/digits-7-0.png')
  const ran = await polyveil(
    ['classify', picture, '--url', url, '--model', 'digits', '--keys', join(folder, 'keys'), '--json'],
    { env: { NODE_EXTRA_CA_CERTS: CERTIFICATE } },
  )
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.json.images, [{ classes: [{ label: '7' }] }])

  const manifest = JSON.parse((await client.request('GET', '/v2/models/digits/manifest')).body)
  const galoisElements = (manifest.galoisElements as number[]).toSorted((a, b) => a - b)
  const announce = (bytes: number) =>
    client.request(
      'POST',
      '/v2/keys',
      { 'content-type': 'application/json' },
      JSON.stringify({ parametersDigest: manifest.parametersDigest, galoisElements, bytes }),
    )
  // The service says what size it expects.
  const { expectedBytes } = JSON.parse((await announce(1)).body)
  const created = await announce(expectedBytes)
  t.equal(created.status, 201, created.body)
  const { id } = JSON.parse(created.body)
  const part = (length: number) =>
    client.request(
      'PUT',
      '/v2/keys',
      { ...BYTES, 'polyveil-key-set': id, 'upload-offset': '0' },
      patterned(length),
    )
  const refused = await part(MAX_PART_BYTES + 1)
  t.equal(refused.status, 413)
  t.match(JSON.parse(refused.body), { code: 'TOO_LARGE' }, 'the service says what it takes')
  const stored = await part(MAX_PART_BYTES)
  t.match(JSON.parse(stored.body), { uploadOffset: MAX_PART_BYTES })

  await client.request('GET', `/v2/keys/${id}`)
  const line = '"GET /v2/keys/- HTTP/2.0" 200'
  // nginx writes the line when it has sent the answer.
  for (let i = 0; i < 100 && !log().includes(line); i++) await sleep(20)
  t.match(log(), line)
  t.notMatch(log(), id, 'ids of key sets are not logged')
  t.notMatch(log(), /\[(warn|error|crit|alert|emerg)\]/)
})

t.test('events arrive one by one, while the request that they are about is open', { skip }, async (t) => {
  const h = await behindProxy(t)
  const keySet = await uploadKeys(h)
  const finish = Promise.withResolvers<Uint8Array>()
  h.engine.work = () => finish.promise
  const client = http2Client(t, h.proxy.url)
  const answer = infer(client, keySet)
  while (h.engine.jobs.length === 0) await sleep(5)
  const [job] = h.engine.jobs
  const events = client.parts('/v2/inferences/one/events', { 'polyveil-key-set': keySet })
  const next = async (): Promise<string> => (await events.next()).value ?? 'the stream has ended'
  t.match(await next(), /^event: progress\n/)
  // Each event is awaited before the next is caused, so that a proxy which keeps one back would block the
  // test.
  for (const done of [3, 7]) {
    job.onProgress(done, 9)
    t.match(await next(), new RegExp(`^event: progress\\ndata: .*"done":${done},`))
  }
  finish.resolve(patterned(100))
  t.match(await next(), /^event: end\n/)
  t.equal((await answer).status, 200)
  t.ok((await events.next()).done)
})

t.test('the service sees the address of the client, and not what the client claims', { skip }, async (t) => {
  const h = await behindProxy(t)
  const client = http2Client(t, h.proxy.url, '127.0.0.9')
  const seen: IncomingHttpHeaders[] = []
  h.app.server.on('request', ({ headers }) => seen.push(headers))
  const { status } = await client.request('GET', '/v2', { 'x-forwarded-for': '203.0.113.5' })
  t.equal(status, 200)
  t.match(h.log(), '"remoteAddress":"127.0.0.9"')
  t.notMatch(h.log(), '203.0.113.5')
  t.match(seen, [{ 'x-forwarded-for': '127.0.0.9', 'x-forwarded-proto': 'https' }])
})

t.test('errors of the service pass', { skip }, async (t) => {
  const h = await behindProxy(t)
  const client = http2Client(t, h.proxy.url)
  const answer = await client.request('GET', '/v2/models/none')
  t.equal(answer.status, 404)
  t.equal(answer.headers['content-type'], 'application/problem+json')
  h.engine.ready = false
  t.equal((await client.request('GET', '/v2/health/ready')).status, 503)
})

t.test('the proxy waits for an answer for as long as the service computes', async (t) => {
  const [, seconds] = /proxy_read_timeout (\d+)s;/.exec(read('docker/nginx.conf'))!
  const { maxInferenceMinutes } = configSchema.parse({ modelsDir: 'models' })
  t.ok(Number(seconds) > 60 * maxInferenceMinutes)
})

t.test('that setting decides when a silent answer is given up', { skip }, async (t) => {
  const h = await behindProxy(t, { 'proxy_read_timeout 3660s;': 'proxy_read_timeout 1s;' })
  const keySet = await uploadKeys(h)
  h.engine.work = () => new Promise(() => {})
  t.equal((await infer(http2Client(t, h.proxy.url), keySet)).status, 504)
})

t.test(
  'an answer that takes more than the minute that nginx waits by default arrives',
  { skip: (!isThorough && 'POLYVEIL_SLOW=1 runs it') || skip, timeout: 150_000 },
  async (t) => {
    const h = await behindProxy(t)
    const keySet = await uploadKeys(h)
    h.engine.work = async () => {
      await sleep(65_000)
      return patterned(100)
    }
    t.equal((await infer(http2Client(t, h.proxy.url), keySet)).status, 200)
  },
)
