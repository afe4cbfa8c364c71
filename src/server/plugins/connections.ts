import type { App } from '../services.ts'

const LOOK_MILLISECONDS = 50

/**
 * Sees to it that the server can close: it waits for requests that are under way, and not for connections
 * without one. Node closes those that have become idle, but neither one that was never used nor one that
 * becomes idle later.
 */
export function useConnections(app: App): void {
  let underWay = 0
  app.addHook('onRequest', async (_request, reply) => {
    underWay++
    reply.raw.once('close', () => {
      underWay--
    })
  })
  app.addHook('preClose', async () => {
    const timer = setInterval(() => {
      if (underWay === 0) app.server.closeAllConnections()
    }, LOOK_MILLISECONDS)
    app.server.once('close', () => clearInterval(timer))
    timer.unref()
  })
}
