import type { Socket } from 'node:net'
import { PolyVeilError } from '../../errors/index.ts'
import { countedNetwork } from '../addresses/client-address.ts'
import { mayBeProxy, type TrustedProxies } from '../addresses/trusted-proxies.ts'
import type { App } from '../services.ts'
import { answerOnSocket } from './unparsed-requests.ts'

export interface ConnectionLimit {
  /** Connections of one address or one /48 network of IPv6; default without a limit. */
  readonly maxConnectionsPerAddress?: number
  /** Proxies, whose connections are those of many clients, have no limit. */
  readonly trustProxy?: TrustedProxies
}

/**
 * Limits the connections of one address or one /48 network of IPv6, also those on which no request comes.
 * Each takes a file descriptor, so that one client could take all that the process has. A further connection
 * is told so and closed.
 */
export function limitConnections(
  app: App,
  { maxConnectionsPerAddress: limit = Infinity, trustProxy = false }: ConnectionLimit,
): void {
  const open = new Map<string, number>()
  const isProxy = mayBeProxy(trustProxy)
  app.server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket
    if (remoteAddress === undefined || isProxy(remoteAddress)) return
    const owner = countedNetwork(remoteAddress)
    const count = open.get(owner) ?? 0
    if (count >= limit) {
      answerOnSocket(socket, tooMany(count, limit)).once('finish', () => socket.destroy())
      return
    }
    open.set(owner, count + 1)
    socket.once('close', () => {
      const left = open.get(owner)! - 1
      if (left > 0) open.set(owner, left)
      else open.delete(owner)
    })
  })
}

const tooMany = (count: number, limit: number): PolyVeilError =>
  new PolyVeilError('TOO_BUSY', `${count} connections of this address are open already`, {
    retryAfter: 1,
    maxConnectionsPerAddress: limit,
  })
