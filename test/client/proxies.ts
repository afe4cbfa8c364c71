import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A small reverse proxy in front of a service. */
export interface Proxy {
  readonly url: string
  /** The announced sizes of all bodies, including refused ones. */
  readonly bodies: number[]
}

/** Passes an answer of the service on. */
export type Pass = (answer: IncomingMessage, outgoing: ServerResponse) => void

const unchanged: Pass = (answer, outgoing) => {
  outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
  answer.pipe(outgoing)
}

/** Imitates nginx with `proxy_intercept_errors on`: each error of the service becomes a page. */
export const replacingErrors: Pass = (answer, outgoing) => {
  const { statusCode = 500 } = answer
  if (statusCode < 400) return unchanged(answer, outgoing)
  answer.resume()
  page(outgoing, statusCode, 'Error')
}

export type Refusal = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * Starts a proxy until the end of the test.
 *
 * @param refuse answers a request instead of the service, and returns true; or returns false
 * @param mostBytes bytes of a body after which the proxy closes both connections without an answer
 * @param pass sends the service's answers to the client
 */
export async function proxy(
  t: Test,
  target: string,
  refuse: Refusal = () => false,
  mostBytes = Number.POSITIVE_INFINITY,
  pass: Pass = unchanged,
): Promise<Proxy> {
  const bodies: number[] = []
  const server = createServer((incoming, outgoing) => {
    const bytes = Number(incoming.headers['content-length'] ?? 0)
    if (bytes > 0) bodies.push(bytes)
    if (refuse(incoming, outgoing)) return
    const { method, headers } = incoming
    const onward = forward(new URL(incoming.url ?? '/', target), { method, headers }, (answer) =>
      pass(answer, outgoing),
    )
    onward.on('error', () => outgoing.destroy())
    let passed = 0
    incoming.on('data', (chunk: Buffer) => {
      passed += chunk.length
      if (passed <= mostBytes) return
      onward.destroy()
      incoming.socket.resetAndDestroy()
    })
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies }
}

/** Imitates nginx above `client_max_body_size`: it answers before it has read the body. */
export const limitedTo =
  (mostBytes: number): Refusal =>
  ({ headers }, response) => {
    if (Number(headers['content-length'] ?? 0) <= mostBytes) return false
    page(response, 413, 'Request Entity Too Large')
    return true
  }

/** An HTML page as proxies send it. */
export function page(response: ServerResponse, status: number, title: string): void {
  response.writeHead(status, { 'content-type': 'text/html', server: 'nginx/1.22.1', connection: 'close' })
  response.end(`<html><head><title>${status} ${title}</title></head><body>${title}</body></html>`)
}
