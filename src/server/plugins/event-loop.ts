import { monitorEventLoopDelay } from 'node:perf_hooks'
import { HttpError } from '../problems/http-error.ts'
import type { App } from '../services.ts'

const SAMPLE_MILLISECONDS = 20
const WINDOW_MILLISECONDS = 1000

/**
 * Refuses requests for a second after the event loop has been blocked for longer than a limit. The largest
 * delay counts: a mean would hide a loop that stands still most of the time, since it has few samples then.
 * Probes and metrics are answered.
 *
 * @param mostMilliseconds 0 never refuses
 */
export function limitEventLoopDelay(app: App, mostMilliseconds: number): void {
  if (mostMilliseconds === 0) return
  const delays = monitorEventLoopDelay({ resolution: SAMPLE_MILLISECONDS })
  delays.enable()
  let last = 0
  const timer = setInterval(() => {
    last = delays.max / 1e6
    delays.reset()
  }, WINDOW_MILLISECONDS).unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    delays.disable()
  })
  app.addHook('onRequest', async ({ routeOptions }) => {
    if (last <= mostMilliseconds || routeOptions.config?.isProbe) return
    throw new HttpError(503, 'TOO_BUSY', 'The server is overloaded', { retryAfter: 1 })
  })
}
