import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Transport, type TransportOptions } from '../../src/client/transport/transport.ts'

// The form in which requests' bodies are sent, and that a repeated request sends its body again.

const BODY = Uint8Array.from({ length: 300_001 }, (_, i) => (i * 7 + (i >> 8)) & 255)

interface Received {
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** A server that breaks the first connections, and keeps what it receives on later ones. */
async function receiver(t: Test, broken: number): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = []
  let left = broken
  const server = createServer(async (request, response) => {
    if (left-- > 0) {
      request.once('data', () => request.socket.destroy())
      return
    }
    received.push({ headers: request.headers, body: await buffer(request) })
    response.setHeader('content-type', 'application/octet-stream').end('kept')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, received }
}

const send = (url: string, body: Uint8Array | string, options?: TransportOptions) =>
  new Transport(url, options).sendRepeatable({ method: 'POST', path: 'x', body })

t.test('bytes arrive whole and with their length, also after broken connections', async (t) => {
  const { url, received } = await receiver(t, 2)
  t.equal(new TextDecoder().decode((await send(url, BODY)).body), 'kept')
  t.equal(received.length, 1)
  t.equal(received[0].headers['content-length'], String(BODY.length))
  t.equal(received[0].headers['transfer-encoding'], undefined)
  t.ok(received[0].body.equals(BODY))
})

t.test('an empty body and a text have their length, too', async (t) => {
  const { url, received } = await receiver(t, 0)
  await send(url, new Uint8Array())
  await send(url, '{"a":1}')
  t.strictSame(
    received.map(({ headers }) => headers['content-length']),
    ['0', '7'],
  )
  t.equal(received[1].headers['content-type'], 'application/json')
  t.equal(received[1].body.toString(), '{"a":1}')
})

t.test('a proxy that asks for credentials is named for any body', async (t) => {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(401, { server: 'nginx/1.22.1' }).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  for (const body of [BODY, '{}']) await t.rejects(send(url, body), { code: 'UNAUTHENTICATED' })
})

t.test('a fetch of the caller gets the bytes, and may send them twice', async (t) => {
  const { url, received } = await receiver(t, 0)
  const twice: typeof fetch = async (input, init) => {
    t.ok(init?.body instanceof Uint8Array)
    await fetch(input, init)
    return fetch(input, init)
  }
  await send(url, BODY, { fetch: twice })
  t.equal(received.length, 2)
  t.ok(received.every(({ body }) => body.equals(BODY)))
})
