import { PolyVeilError } from '../../errors/index.ts'
import { countedNetwork } from '../client-address.ts'
import type { App } from '../services.ts'

/**
 * Limits the requests of one address, or of one /48 network of IPv6, that are open at once. A body is kept in
 * memory until it is complete, so that requests which never end would take it all. Health checks and metrics
 * are not counted.
 *
 * @param limit requests of one address
 */
export function limitOpenRequests(app: App, limit: number): void {
  const open = new Map<string, number>()
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config?.rateLimit === false) return
    const owner = countedNetwork(request.ip)
    const count = open.get(owner) ?? 0
    if (count >= limit) {
      throw new PolyVeilError('TOO_BUSY', `${count} requests of this address are open already`, {
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
