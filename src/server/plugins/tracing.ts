import type { App } from '../services.ts'
import { endRequestWith } from '../tracing.ts'

/** Ends the spans that `tracedLogger` begins. */
export function useTracing(app: App): void {
  app.addHook('onRequest', async (request, reply) => endRequestWith(request, reply.raw))
}
