import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer, type Server } from 'node:net'
import t, { type Test } from 'tap'
import { type ConnectOptions, connect, memoryKeyStore } from '../../src/client/index.ts'
import { SilenceLimit } from '../../src/client/transport/silence.ts'
import { Transport } from '../../src/client/transport/transport.ts'
import { FakeServer, ORIGIN } from './fake-server.ts'

// Servers that cannot be reached or do not answer. Each case has its own message, and the client waits no
// longer than its limit.

const to = (url: string, options: Partial<ConnectOptions> = {}) =>
  connect(url, { keys: memoryKeyStore(), ...options })

async function listening(t: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

t.test('unknown names, closed ports and ports without HTTP are refused', async (t) => {
  await t.rejects(to('http://polyveil.invalid'), {
    code: 'SERVER_UNREACHABLE',
    message: /^The server's name polyveil\.invalid cannot be resolved \((ENOTFOUND|EAI_AGAIN)\)$/,
    remedy: /spelling/,
    facts: { origin: 'http://polyveil.invalid', reason: 'dns' },
  })
  const gone = createServer()
  const port = await listening(t, gone)
  await new Promise((resolve) => gone.close(resolve))
  await t.rejects(to(`http://127.0.0.1:${port}`), {
    message: `The server cannot be reached: nothing listens at 127.0.0.1:${port} (ECONNREFUSED)`,
    remedy: /polyveil serve/,
    facts: { reason: 'refused' },
  })
  const other = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
  await t.rejects(to(`http://127.0.0.1:${await listening(t, other)}`), {
    code: 'SERVER_UNREACHABLE',
    message: /does not speak HTTP \(\w+\)$/,
    facts: { reason: 'no-http' },
  })
  const closing = createServer((socket) => socket.destroy())
  await t.rejects(to(`http://127.0.0.1:${await listening(t, closing)}`), {
    message: /^The connection to \S+ broke off \(\w+\)$/,
    facts: { reason: 'broken' },
  })
})

t.test('a server without TLS, and a certificate that is not trusted, are refused', async (t) => {
  const plain = createHttpServer((_request, response) => response.end())
  await t.rejects(to(`https://127.0.0.1:${await listening(t, plain)}`), {
    code: 'SERVER_UNREACHABLE',
    message: /does not speak TLS/,
    remedy: /http:\/\//,
    facts: { reason: 'tls' },
  })
  const pem = readFileSync(new URL('self-signed.pem', import.meta.url))
  const untrusted = createHttpsServer({ key: pem, cert: pem }, (_request, response) => response.end())
  const port = await listening(t, untrusted)
  await t.rejects(to(`https://127.0.0.1:${port}`), {
    code: 'SERVER_UNREACHABLE',
    message: `The certificate of 127.0.0.1:${port} is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT)`,
    remedy: /NODE_EXTRA_CA_CERTS/,
    facts: { reason: 'certificate' },
  })
})

t.test('a server that accepts a connection and sends nothing is given up', async (t) => {
  const silent = createServer(() => {})
  const url = `http://127.0.0.1:${await listening(t, silent)}`
  await t.rejects(to(url, { silenceSeconds: 0.2 }), {
    code: 'SERVER_UNREACHABLE',
    message: `The server at ${url} was silent for 0.2 seconds`,
    remedy: /overloaded or stuck/,
    facts: { reason: 'silent' },
  })
})

t.test('silence within an answer counts, a slow but steady answer does not', async (t) => {
  const slow = createHttpServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const timer = setInterval(() => response.write(' '), 50)
    setTimeout(() => {
      clearInterval(timer)
      if (response.req.url === '/v2') response.end('{"extensions":["polyveil_ckks"]}')
    }, 1500)
    response.on('close', () => clearInterval(timer))
  })
  const url = `http://127.0.0.1:${await listening(t, slow)}`
  const polyveil = await to(url, { silenceSeconds: 1 })
  await t.rejects(polyveil.models(), { message: /was silent for 1 seconds/ })
})

t.test('an answer that trickles ends at its limit, one that keeps the pace does not', async (t) => {
  const pace = { graceMilliseconds: 200, leastRate: 1 }
  const drip = async (bytes: number, longest: number): Promise<unknown> => {
    const limit = new SilenceLimit(1000, pace)
    const startedAt = performance.now()
    limit.heard(0, 1000)
    while (!limit.signal.aborted && performance.now() - startedAt < longest) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (!limit.signal.aborted) limit.heard(bytes, 1000)
    }
    limit.end()
    return limit.signal.reason
  }
  const [slow, fast] = await Promise.all([drip(1, 60_000), drip(1000, 800)])
  t.match(slow, { name: 'Silence', message: /^too slow: \d+ bytes of its answer came in time$/ })
  t.equal(fast, undefined)
})

t.test('a request has a time limit by default', async (t) => {
  const server = new FakeServer()
  const limits: (AbortSignal | null | undefined)[] = []
  const fetch: typeof globalThis.fetch = (url, init) => {
    limits.push(init?.signal)
    return server.fetch(url, init)
  }
  await new Transport(ORIGIN, { fetch }).json({ method: 'GET', path: 'v2' })
  t.ok(limits[0] instanceof AbortSignal)
})
