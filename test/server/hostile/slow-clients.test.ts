import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Harness, harness, isProblem, query, splitAnswer, uploadKeys } from '../support.ts'
import { head, listening, RawClient } from './raw-client.ts'

// Clients that send or read as slowly as they can. What counts is the order of events: the service answers
// others while all of these are open.

const SOCKETS = 200
const DRIP_MILLISECONDS = 100
const EVENTS = 6000

/** Node's limits, so short that a test can wait for them. */
const SHORT = { requestTimeout: 4000, headersTimeout: 4000, connectionsCheckingInterval: 100 }

async function opened(h: Harness, count: number, beginning: string): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => RawClient.open(h)))
  for (const client of clients) client.write(beginning)
  return clients
}

/** Sends a byte on each connection now and then, until they are closed. */
function dripping(clients: readonly RawClient[]): () => void {
  const timer = setInterval(() => {
    for (const { socket } of clients) if (socket.writable) socket.write('x')
  }, DRIP_MILLISECONDS)
  return () => clearInterval(timer)
}

const isOpen = ({ socket, statuses }: RawClient): boolean => !socket.destroyed && statuses.length === 0

const probes = async (url: string): Promise<number[]> =>
  Promise.all(['live', 'ready'].map(async (probe) => (await fetch(`${url}/v2/health/${probe}`)).status))

t.test('200 clients that never finish their headers hold up nobody, and end with 408', async (t) => {
  const h = await harness(t, { security: { maxOpenRequestsPerAddress: 128 } })
  const url = await listening(h, SHORT)
  const keys = await uploadKeys(h)
  const clients = await opened(h, SOCKETS, 'GET /v2/models HTTP/1.1\r\nHost: x\r\nX-Slow: ')
  const stop = dripping(clients)
  for (let i = 0; i < 10; i++) t.strictSame(await probes(url), [200, 200])
  const answer = await h.inject(query(keys))
  t.equal(answer.statusCode, 200, 'a query is answered')
  t.equal(clients.filter(isOpen).length, SOCKETS, 'all of it while they are open')
  await Promise.all(clients.map(({ closed }) => closed))
  stop()
  t.ok(clients.every(({ statuses }) => statuses.join() === '408'))
  t.strictSame(await probes(url), [200, 200])
})

t.test('200 clients that never finish their bodies are limited, and leave others their place', async (t) => {
  const h = await harness(t, { security: { maxOpenRequestsPerAddress: 128 }, trustProxy: true })
  const url = await listening(h, SHORT)
  const keys = await uploadKeys(h, '10.0.0.2')
  const request = head(
    'POST /v2/models/small/infer',
    'X-Forwarded-For: 10.0.0.1',
    'Content-Type: application/octet-stream',
    'Inference-Header-Content-Length: 200',
    'Content-Length: 100000',
  )
  const clients = await opened(h, SOCKETS, request)
  const stop = dripping(clients)
  const refused = () => clients.filter(({ statuses }) => statuses.length > 0)
  while (refused().length < SOCKETS - 128) await sleep(5)
  for (let i = 0; i < 10; i++) t.strictSame(await probes(url), [200, 200])
  const { payload, headers } = query(keys)
  const other = await fetch(`${url}/v2/models/small/infer`, {
    method: 'POST',
    headers: { ...(headers as Record<string, string>), 'x-forwarded-for': '10.0.0.2' },
    body: payload as Buffer<ArrayBuffer>,
  })
  t.equal(other.status, 200, 'another address is served')
  t.equal(clients.filter(isOpen).length, 128, 'while as many are open as one address may have')
  const isBusy = ({ statuses, code, head }: RawClient): boolean =>
    statuses.join() === '503' && code === 'TOO_BUSY' && /retry-after: \d+/.test(head)
  t.ok(refused().every(isBusy), 'the others know when to come again')
  await Promise.all(clients.map(({ closed }) => closed))
  stop()
  t.equal(clients.filter(({ statuses }) => statuses[0] === 408).length, 128)
  t.equal(h.engine.jobs.length, 1, 'only the good query reached the engine')
})

t.test('clients that do not read their answers hold up neither others nor the end', async (t) => {
  const h = await harness(t)
  const url = await listening(h)
  const keys = await uploadKeys(h)
  h.engine.work = async ({ frame }) => new Uint8Array(16 * 2 ** 20).fill(frame[0])
  const { payload, headers } = query(keys)
  const body = payload as Buffer
  const fields = Object.entries(headers as Record<string, string>).map(([name, value]) => `${name}: ${value}`)
  const stalled = await Promise.all(Array.from({ length: 8 }, () => RawClient.open(h)))
  for (const client of stalled) {
    client.socket.pause()
    client.write(head('POST /v2/models/small/infer', ...fields, `Content-Length: ${body.length}`))
    client.write(body)
  }
  while (h.engine.jobs.length < stalled.length) await sleep(5)
  h.engine.work = async ({ frame }) => frame.slice(0, 100).reverse()
  for (let i = 0; i < 5; i++) t.strictSame(await probes(url), [200, 200])
  t.equal((await h.inject(query(keys))).statusCode, 200)
  t.notOk(
    stalled.some(({ socket }) => socket.destroyed),
    'all of it while they do not read',
  )
  await h.app.close()
  for (const { socket } of stalled) socket.resume()
  await Promise.all(stalled.map(({ closed }) => closed))
  t.ok(h.engine.closed, 'the service ends without them')
})

t.test('a client that stops reading its answer is disconnected, and a slow one is not', async (t) => {
  const h = await harness(t, { stalledReaderSeconds: 1 })
  await listening(h)
  const keys = await uploadKeys(h)
  h.engine.work = async () => new Uint8Array(16 * 2 ** 20)
  const { payload, headers } = query(keys)
  const body = payload as Buffer
  const fields = Object.entries(headers as Record<string, string>).map(([name, value]) => `${name}: ${value}`)
  const [stalled, slow] = await Promise.all([RawClient.open(h), RawClient.open(h)])
  let received = 0
  const connections = () =>
    new Promise<number>((resolve) => h.app.server.getConnections((_, n) => resolve(n)))
  slow.socket.on('data', ({ length }) => {
    received += length
  })
  for (const client of [stalled, slow]) {
    client.socket.pause()
    client.write(head('POST /v2/models/small/infer', ...fields, `Content-Length: ${body.length}`))
    client.write(body)
  }
  // Reads a little now and then, for longer than the limit.
  const reading = setInterval(() => {
    slow.socket.resume()
    setTimeout(() => slow.socket.pause(), 2)
  }, 200)
  while (h.engine.jobs.length < 2) await sleep(5)
  t.equal(await connections(), 2)
  while ((await connections()) > 1) await sleep(20)
  t.notOk(slow.socket.destroyed, 'the connection of the other one is open')
  clearInterval(reading)
  slow.socket.resume()
  while (received < 16 * 2 ** 20) await sleep(20)
  t.pass('it gets all of its answer')
  for (const { socket } of [stalled, slow]) socket.destroy()
})

t.test('an idle connection keeps its own limit after an answer', async (t) => {
  const h = await harness(t, { stalledReaderSeconds: 1 })
  const sockets: Socket[] = []
  h.app.server.on('connection', (socket) => sockets.push(socket))
  const url = await listening(h, { keepAliveTimeout: 30_000 })
  await (await fetch(`${url}/v2`)).text()
  await sleep(1500)
  t.equal(sockets.length, 1)
  t.notOk(sockets[0].destroyed, 'the limit of an answer is over')
  t.ok((sockets[0].timeout ?? 0) >= 30_000)
})

t.test('a reader of events that does not read takes no memory', async (t) => {
  const h = await harness(t)
  let written = 0
  h.app.server.on('connection', (socket) => {
    const look = setInterval(() => {
      written = Math.max(written, socket.writableLength)
    }, 5)
    socket.once('close', () => clearInterval(look))
  })
  const url = await listening(h)
  const keys = await uploadKeys(h)
  const begin = Promise.withResolvers<void>()
  h.engine.work = async ({ onProgress }) => {
    await begin.promise
    // Each of them is an event for those who read.
    for (let i = 1; i <= EVENTS; i++) {
      onProgress(i, EVENTS)
      await new Promise(setImmediate)
    }
    return new Uint8Array([7])
  }
  const running = h.inject(query(keys, { header: { id: 'watched' } }))
  while (h.engine.jobs.length === 0) await sleep(1)
  const events = head('GET /v2/inferences/watched/events', `PolyVeil-Key-Set: ${keys}`)
  const stalled = await Promise.all([RawClient.open(h), RawClient.open(h)])
  for (const client of stalled) {
    client.socket.pause()
    client.write(events)
  }
  const reader = fetch(`${url}/v2/inferences/watched/events`, { headers: { 'polyveil-key-set': keys } })
  const text = reader.then((answer) => answer.text())
  await reader
  begin.resolve()
  const answer = await running
  t.strictSame([...splitAnswer(answer).frame], [7])
  t.match(await text, /event: end\ndata: .*"state":"done"/, 'who reads gets the end')
  t.ok(written < 2 ** 18, `${written} bytes waited for a reader`)
  t.strictSame(await probes(url), [200, 200])
  for (const { socket } of stalled) socket.destroy()
})

t.test('places of clients that give up are free again', async (t) => {
  const h = await harness(t, { security: { maxOpenRequestsPerAddress: 4 } })
  const url = await listening(h)
  const request = head('POST /v2/keys', 'Content-Type: application/json', 'Content-Length: 100')
  for (let i = 0; i < 5; i++) {
    const clients = await opened(h, 4, `${request}{`)
    while ((await fetch(`${url}/v2`)).status !== 503);
    isProblem(t, await h.inject({ url: '/v2' }), 503, 'TOO_BUSY')
    for (const { socket } of clients) socket.destroy()
    while ((await fetch(`${url}/v2`)).status !== 200) await sleep(5)
  }
})

t.test('a client that opens connections and sends nothing has as many as one address may have', async (t) => {
  const h = await harness(t, { security: { maxConnectionsPerAddress: 20 } })
  const url = await listening(h)
  const idle = await opened(h, 10, '')
  const halfSent = await opened(h, 10, 'GET /v2 HTTP/1.1\r\nHost: x\r\n')
  const further = await opened(h, 10, '')
  await Promise.all(further.map(({ closed }) => closed))
  for (const client of further) {
    t.strictSame(client.statuses, [503])
    t.equal(client.code, 'TOO_BUSY')
    t.match(client.head, /retry-after: 1/)
  }
  t.ok([...idle, ...halfSent].every(isOpen))
  for (const { socket } of idle) socket.destroy()
  while ((await fetch(`${url}/v2`).catch(() => undefined))?.status !== 200) await sleep(5)
})

t.test('connections of a trusted proxy have no limit', async (t) => {
  const limited = { security: { maxConnectionsPerAddress: 2 } }
  for (const trustProxy of [true, 1, ['loopback'], ['127.0.0.0/8'], ['127.0.0.1']]) {
    const h = await harness(t, { ...limited, trustProxy })
    const url = await listening(h)
    const clients = await opened(h, 5, '')
    t.strictSame(await probes(url), [200, 200], String(trustProxy))
    t.ok(clients.every(isOpen))
    for (const { socket } of clients) socket.destroy()
  }
  const h = await harness(t, { ...limited, trustProxy: ['10.0.0.0/8', 'fc00::/7'] })
  await listening(h)
  const clients = await opened(h, 3, '')
  await Promise.race(clients.map(({ closed }) => closed))
  t.equal(clients.filter(isOpen).length, 2, 'another address than that of the proxy')
})
