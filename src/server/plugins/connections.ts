import { PolyVeilError } from '../../errors/index.ts'
import type { App } from '../services.ts'

const LOOK_MILLISECONDS = 50
/** Requests that are still open on shutdown get this time, for instance for the rest of an answer. */
const LEFT_MILLISECONDS = 5000

/**
 * On shutdown the server waits a little for open requests, then closes all connections: a stalled upload must
 * not hold it up, and its client can go on where it was. Node itself closes idle
 * connections when `close` is called, but neither unused ones nor those that become idle later. New requests
 * on open connections are refused.
 */
export function useConnections(app: App): void {
  let underWay = 0
  let closing = false
  app.addHook('onRequest', async (_request, reply) => {
    if (closing) throw new PolyVeilError('TOO_BUSY', 'The server is shutting down')
    underWay++
    reply.raw.once('close', () => {
      underWay--
    })
  })
  app.addHook('preClose', async () => {
    closing = true
    const end = performance.now() + LEFT_MILLISECONDS
    const timer = setInterval(() => {
      if (underWay === 0 || performance.now() > end) app.server.closeAllConnections()
    }, LOOK_MILLISECONDS)
    app.server.once('close', () => clearInterval(timer))
    timer.unref()
  })
}
