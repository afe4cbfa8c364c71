import type { App } from '../services.ts'

const LOOK_MILLISECONDS = 50

/**
 * On shutdown the server waits for open requests, then closes all connections. Node itself closes idle
 * connections when `close` is called, but neither unused ones nor those that become idle later.
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
