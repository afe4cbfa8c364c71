import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/format/file.ts'
import { createToken, revokeToken } from '../../../src/server/access/manage-tokens.ts'
import type { Scope } from '../../../src/server/access/tenant.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { newToken, tokenParts, tokenText } from '../../../src/server/access/token.ts'
import { circuit, MODEL, manifest, StepClient } from '../refreshed-service.ts'
import { formsOf, type Secret, shownIn, windowsOf } from './forms.ts'

// Nothing that a complete service writes has a secret, whatever is asked of it.

const PROGRAM = fileURLToPath(new URL('./traced-service.ts', import.meta.url))
const ENDING = new URL('./ending-workers.ts', import.meta.url).href
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

t.test('the search finds a secret in each form', async (t) => {
  const secret = {
    name: 's',
    bytes: Uint8Array.from({ length: 16 }, (_, i) => (i * 91 + 7) & 255),
    offset: 5,
  }
  const around = Buffer.concat([Buffer.alloc(5), secret.bytes, Buffer.alloc(3)])
  for (const [name, form] of Object.entries(formsOf(secret))) {
    t.ok(form.length >= 12 && shownIn(`before ${form} after`, [secret]).length > 0, name)
  }
  for (const text of [
    JSON.stringify(around),
    JSON.stringify(new Uint8Array(around)),
    around.toString('base64'),
  ]) {
    t.ok(shownIn(text, [secret]).length > 0, text)
  }
  t.strictSame(shownIn('nothing', [secret]), [])
})

interface Outputs {
  readonly url: string
  /** Ends the worker threads. */
  readonly loseWorkers: () => void
  /** Everything that the service has written, by where. Ends the service. */
  readonly collect: () => Promise<Record<'stdout' | 'stderr' | 'audit' | 'spans', string>>
}

async function startTraced(t: Test, directory: string): Promise<Outputs> {
  const paths = { audit: join(directory, 'audit.log'), spans: join(directory, 'spans.log') }
  const settings = {
    modelsDir: directory,
    dataDir: join(directory, 'data'),
    port: 0,
    threads: 1,
    access: 'tokens',
    auditLog: paths.audit,
    logLevel: 'trace',
    shutdownSeconds: 1,
    maxEventLoopDelayMs: 0,
  }
  const child: ChildProcess = fork(PROGRAM, [JSON.stringify(settings), paths.spans], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // Workers have it, too.
    execArgv: [...process.execArgv, `--import=${ENDING}`],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.on('data', (chunk) => {
      text[name] += chunk
    })
  }
  const ended = once(child, 'close')
  const early = ended.then(() => {
    throw new Error(`the service ended: ${text.stdout}${text.stderr}`)
  })
  early.catch(() => {})
  const [url] = (await Promise.race([once(child, 'message'), early])) as [string]
  const collect = async () => {
    child.kill('SIGTERM')
    await ended
    return { ...text, audit: readFileSync(paths.audit, 'utf8'), spans: readFileSync(paths.spans, 'utf8') }
  }
  return { url, loseWorkers: () => void child.send('end'), collect }
}

/** Bodies that clients have sent and got since this was called; they are secrets. */
function recordBodies(t: Test): Uint8Array[] {
  const bodies: Uint8Array[] = []
  const { fetch } = globalThis
  t.teardown(() => {
    globalThis.fetch = fetch
  })
  globalThis.fetch = async (input, init) => {
    if (init?.body instanceof Uint8Array) bodies.push(init.body)
    const response = await fetch(input, init)
    const isFrame = response.headers.get('content-type') === 'application/octet-stream'
    if (isFrame) bodies.push(new Uint8Array(await response.clone().arrayBuffer()))
    return response
  }
  return bodies
}

/** Sends bytes that are no request. */
async function sendRaw(url: string, text: string): Promise<void> {
  const socket = createConnection(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  socket.end(text)
  socket.resume()
  await once(socket, 'close')
}

/** Files of stored key sets. */
const keyFiles = (directory: string): string[] =>
  readdirSync(join(directory, 'data/keys'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))

t.test('a complete service at level trace writes no secret anywhere', { timeout: 200_000 }, async (t) => {
  const directory = t.testdir({ data: {} })
  writeFileSync(join(directory, `${MODEL}.pvc`), writeCircuit(circuit))
  const files = new TenantFiles(join(directory, 'data'))
  const make = async (tenant: string, ...scopes: Scope[]): Promise<string> =>
    (await createToken(files, { tenant, scopes, quota: {} })).text
  const tokens = {
    own: await make('bank', 'infer'),
    other: await make('clinic', 'infer'),
    metrics: await make('watcher', 'metrics'),
    revoked: await make('bank', 'infer'),
    forged: tokenText(newToken()),
    damaged: `pv_${'0'.repeat(16)}_not-of-this-form-secret`,
  }
  await revokeToken(files, tokenParts(tokens.revoked)!.id)
  const { url, loseWorkers, collect } = await startTraced(t, directory)
  const bodies = recordBodies(t)
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
  const create = (token: string): Promise<StepClient> => StepClient.create(url, manifest, bearer(token))
  const client = await create(tokens.own)
  const other = await create(tokens.other)

  // A key set that the disk has damaged: the worker finds it.
  const before = new Set(keyFiles(directory))
  const unlucky = await create(tokens.own)
  for (const path of keyFiles(directory).filter((each) => !before.has(each))) {
    const bytes = readFileSync(path)
    if (bytes.length < 100_000) continue
    bytes.fill(255, bytes.length / 2, bytes.length / 2 + 64)
    writeFileSync(path, bytes)
  }
  t.match((await unlucky.begin()).json, { code: 'KEYS_EXPIRED' })

  // Good inferences, and rounds that are wrong.
  const first = await client.begin('chosen')
  t.equal(first.status, 200)
  const reply = await client.model.refresh(0, first.frame)
  const broken = Uint8Array.from(reply, (byte, i) => (i > reply.length / 2 ? 255 : byte))
  t.ok((await client.round('chosen', 0, broken)).status >= 400)
  t.ok((await client.round('chosen', 1, reply)).status >= 400)
  t.equal((await other.round('chosen', 0, reply)).status, 404)
  t.equal((await client.round('chosen', 0, reply, other.keySet)).status, 404)
  t.equal((await client.output('chosen', 0)).status, 200)
  t.ok((await client.finish(await client.round('chosen', 0, reply))) < 0.01)
  await client.own('GET', 'v2/inferences/chosen')
  await client.own('GET', 'v2/inferences/chosen/events')
  await client.begin('cancelled')
  await client.own('DELETE', 'v2/inferences/cancelled')

  // A worker that is lost between two rounds.
  t.equal((await client.begin('lost')).status, 200)
  const waiting = client.output('lost', 1)
  const whole = client.own('GET', 'v2/inferences/lost/events')
  loseWorkers()
  t.match(await waiting, { status: 503, json: { code: 'WORKER_LOST' } })
  t.match((await whole).bytes.toString(), /"state":"failed"/)
  t.ok((await client.round('lost', 0, reply)).status >= 400)

  // Queries that are wrong: in the worker, in the header, and of another tenant.
  const infer = `v2/models/${MODEL}/infer`
  const frame = await client.model.encrypt({
    shape: [3, 3, 5],
    tensor: Float64Array.from({ length: 45 }, (_, i) => Math.cos(i)),
  })
  const query = (bytes: Uint8Array, keySet = client.keySet, path = infer, more = {}) => {
    const parameters = { key_set: keySet, manifest_digest: manifest.digest, ...more }
    const tensor = { name: 'image', datatype: 'BYTES', shape: [1] }
    const inputs = [{ ...tensor, parameters: { binary_data_size: bytes.length } }]
    const json = Buffer.from(JSON.stringify({ parameters, inputs }))
    const headers = { 'inference-header-content-length': String(json.length) }
    return client.request('POST', path, Buffer.concat([json, bytes]), headers)
  }
  const bad = Uint8Array.from(frame, (byte, i) => (i > frame.length / 2 ? 255 : byte))
  t.match((await query(bad)).json, { code: 'TENSOR_MALFORMED' })
  await query(frame, other.keySet)
  await query(frame.subarray(0, 1000))
  await query(frame, `${client.keySet}x`)
  await query(frame, client.keySet, infer, { manifest_digest: client.keySet })
  await query(frame, client.keySet, `v2/models/${MODEL}/versions/1/infer`)
  const cut = { 'inference-header-content-length': '50' }
  await client.request('POST', infer, Buffer.concat([Buffer.from(`{"key": "${client.keySet}`), frame]), cut)

  // Every other route, with every token and none, and ids in every place.
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> }
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({ method: method.toUpperCase(), path })),
  )
  t.ok(routes.length > 20)
  const authorizations = [
    ...Object.values(tokens).map((token) => `Bearer ${token}`),
    `Basic ${Buffer.from(`user:${tokens.own}`).toString('base64')}`,
    undefined,
  ]
  for (const authorization of authorizations) {
    for (const { method, path } of routes.filter((route) => !isUnasked(route))) {
      const filled = path
        .replace('{model}', MODEL)
        .replace('{version}', '1')
        .replace('{round}', '0')
        .replace('{id}', path.includes('keys') ? unlucky.keySet : 'chosen')
      const response = await fetch(`${url}${filled}?token=${tokens.own}&key=${client.keySet}`, {
        method,
        headers: {
          ...(authorization && { authorization }),
          'polyveil-key-set': unlucky.keySet,
          'x-forwarded-for': client.keySet,
          traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
          cookie: `token=${tokens.own}`,
          ...(['POST', 'PUT'].includes(method) && { 'content-type': 'application/json' }),
        },
        ...(['POST', 'PUT'].includes(method) && {
          body: JSON.stringify({ id: client.keySet, secret: tokens.own }),
        }),
      })
      await response.arrayBuffer()
    }
  }
  for (const path of [
    `v2/${client.keySet}`,
    `v2/keys/${client.keySet}/more`,
    `v2/keys/${client.keySet}%zz`,
  ]) {
    await client.request('GET', path)
  }

  // Bytes that are no request.
  const named = `PolyVeil-Key-Set: ${client.keySet}\r\nAuthorization: Bearer ${tokens.own}\r\n`
  await sendRaw(url, `GET /v2/keys/${client.keySet} HTTP/1.1\r\nHost: x\r\n${named}no header\r\n\r\n`)
  await sendRaw(url, `GET /v2/keys?${client.keySet} HTTP/9.9\r\n${named}\r\n`)
  await sendRaw(url, `BREW /v2/keys HTTP/1.1\r\nHost: x\r\n${named}\r\n`)
  await sendRaw(url, `GET /v2/keys HTTP/1.1\r\nHost: x\r\n${named}X: ${'y'.repeat(20_000)}\r\n\r\n`)
  await sendRaw(
    url,
    `PUT /v2/keys HTTP/1.1\r\nHost: x\r\n${named}Transfer-Encoding: chunked\r\n\r\n${client.keySet}`,
  )
  await client.own('DELETE', 'v2/keys')

  const metrics = await (await fetch(`${url}/metrics`, { headers: bearer(tokens.metrics) })).text()
  for (const { method, path } of routes) {
    const route = path.replaceAll(/\{(\w+)\}/g, ':$1')
    t.ok(metrics.includes(`{method="${method}",route="${route}",`), `${method} ${path} was asked for`)
  }
  const written = { ...(await collect()), metrics }
  t.match(written.stdout, /A request could not be parsed/, 'the log has lines of level trace')
  t.match(written.stdout, /A worker ended unexpectedly/)
  t.match(written.metrics, /polyveil_workers_lost_total\S* [1-9]/)
  t.match(written.spans, /WORKER_LOST/)
  t.match(written.audit, /access refused/)
  t.match(written.spans, /"name":"inference.compute"/)
  const flooding = readFileSync(join(directory, 'data/flooding.key'))
  const secrets: Secret[] = [
    ...Object.entries(tokens).map(([name, token]) => ({
      name: `the ${name} token`,
      bytes: utf8(tokenParts(token)?.secret ?? token),
    })),
    ...Object.entries({ client, other, unlucky }).map(([name, { keySet }]) => ({
      name: `the key set of ${name}`,
      bytes: utf8(keySet),
    })),
    { name: 'the flooding key', bytes: flooding.subarray(0, 16) },
    ...bodies.flatMap((body, i) => windowsOf(`body ${i}`, body)),
  ]
  t.ok(secrets.length > 40, `${secrets.length} secrets`)
  for (const [place, text] of Object.entries(written)) t.strictSame(shownIn(text, secrets), [], place)
})

/** Inferences are cancelled above. */
const isUnasked = ({ method, path }: { method: string; path: string }): boolean =>
  method === 'DELETE' && !path.includes('keys')
