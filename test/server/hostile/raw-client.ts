import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Harness } from '../support.ts'

/** A connection whose bytes a test writes itself, and what came back. */
export class RawClient {
  readonly socket: Socket
  readonly closed: Promise<void>
  received = ''

  private constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    this.socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1')
    })
    // The server may close while the test still writes.
    this.socket.on('error', () => {})
    this.socket.on('end', () => this.socket.end())
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()))
  }

  static async open(h: Harness): Promise<RawClient> {
    const client = new RawClient((h.app.server.address() as AddressInfo).port)
    await once(client.socket, 'connect')
    return client
  }

  write(bytes: string | Uint8Array): void {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1')
    else this.socket.write(bytes)
  }

  /** Statuses of the answers so far. */
  get statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))
  }

  /** The headers of the first answer, in lower case. */
  get head(): string {
    return this.received.split('\r\n\r\n')[0].toLowerCase()
  }

  /** Code of the first problem document. */
  get code(): unknown {
    return /"code":"([A-Z_]+)"/.exec(this.received)?.[1]
  }
}

/** Sends bytes on a connection of their own, and waits until the server has closed it. */
export async function exchange(h: Harness, ...bytes: (string | Uint8Array)[]): Promise<RawClient> {
  const client = await RawClient.open(h)
  for (const part of bytes) client.write(part)
  await client.closed
  return client
}

/** The head of a request. */
export const head = (line: string, ...fields: string[]): string =>
  [`${line} HTTP/1.1`, 'Host: x', ...fields, '', ''].join('\r\n')

/** A harness whose port is open. @param limits of Node's server, which it reads when it begins to listen */
export async function listening(h: Harness, limits: object = {}): Promise<string> {
  Object.assign(h.app.server, limits)
  return h.app.listen({ port: 0, host: '127.0.0.1' })
}
