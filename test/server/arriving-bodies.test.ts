import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Harness, harness, isProblem, model, query, uploadKeys } from './support.ts'

const BODY = model.queryBytes

/** Sends the head of a query and some bytes of its body, and nothing more. */
async function stalled(
  t: Test,
  port: number,
  sent: number,
  length = `content-length: ${BODY}`,
): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  const head = [
    'POST /v2/models/small/infer HTTP/1.1',
    'host: service',
    'content-type: application/octet-stream',
    'inference-header-content-length: 200',
    length,
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  socket.write(Buffer.alloc(sent))
  return socket
}

async function listening(t: Test, bodyBytes: number): Promise<{ h: Harness; port: number }> {
  const h = await harness(t, { bodyBytes, trustProxy: true })
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  return { h, port: Number(new URL(url).port) }
}

const arriving = async (h: Harness): Promise<number> => {
  const { body } = await h.inject({ url: '/metrics' })
  return Number(/^polyveil_arriving_bytes (\d+)/m.exec(body)?.[1])
}

async function until(h: Harness, bytes: number): Promise<void> {
  while ((await arriving(h)) !== bytes) await sleep(5)
}

t.test('queries that do not arrive take no more than their part of the memory', async (t) => {
  const { h, port } = await listening(t, 9 * BODY)
  const keys = await uploadKeys(h)
  const sockets = [await stalled(t, port, 10), await stalled(t, port, 0)]
  await until(h, 2 * BODY)
  const mine = await h.inject({ ...query(keys), remoteAddress: '127.0.0.1' })
  isProblem(t, mine, 503, 'TOO_BUSY', { retryAfter: 1 })
  t.match(mine.json().detail, 'Bodies of this client')
  t.equal(
    (await h.inject({ ...query(keys), remoteAddress: '192.0.2.1' })).statusCode,
    200,
    'others are served',
  )
  sockets[0].destroy()
  await until(h, BODY)
  t.equal((await h.inject({ ...query(keys), remoteAddress: '127.0.0.1' })).statusCode, 200)
  await until(h, BODY)
  sockets[1].destroy()
  await until(h, 0)
})

t.test('bodies without a length count as the largest that the route takes', async (t) => {
  const { h, port } = await listening(t, 4 * BODY)
  const socket = await stalled(t, port, 0, 'transfer-encoding: chunked')
  await until(h, BODY + 65_536)
  socket.destroy()
  await until(h, 0)
})

t.test('all clients together take no more than there is', async (t) => {
  const { h, port } = await listening(t, BODY)
  const keys = await uploadKeys(h)
  await stalled(t, port, 0)
  await until(h, BODY)
  const refused = await h.inject({ ...query(keys), remoteAddress: '192.0.2.1' })
  isProblem(t, refused, 503, 'TOO_BUSY')
  t.match(refused.json().detail, /^Bodies that are arriving/)
})

t.test('a body larger than all of the memory is taken when nothing else arrives', async (t) => {
  const { h } = await listening(t, 1000)
  const keys = await uploadKeys(h)
  t.equal((await h.inject(query(keys))).statusCode, 200)
  t.equal(await arriving(h), 0)
})
