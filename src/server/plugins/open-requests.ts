import { PolyVeilError } from '../../errors/index.ts'
import type { App } from '../services.ts'

/**
 * Limits the requests of one tenant, one address or one /48 network of IPv6 that are open at once. A body is
 * kept in memory until it is complete, so that requests which never end would take it all. Health checks and
 * metrics are not counted.
 *
 * @param limit requests of one of them
 */
export function limitOpenRequests(app: App, limit: number): void {
  const open = new Map<string, number>()
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config?.isProbe) return
    const owner = request.caller.network
    const count = open.get(owner) ?? 0
    if (count >= limit) {
      throw new PolyVeilError('TOO_BUSY', `${count} requests of this client are open already`, {
        retryAfter: 1,
        maxOpenRequestsPerAddress: limit,
      })
    }
    open.set(owner, count + 1)
    reply.raw.once('close', () => {
      const left = (open.get(owner) ?? 1) - 1
      if (left > 0) open.set(owner, left)
      else open.delete(owner)
    })
  })
}
