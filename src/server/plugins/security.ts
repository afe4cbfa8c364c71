import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import type { App } from '../app.ts'
import { HttpError } from '../problems/http-error.ts'

export interface SecurityOptions {
  /** Requests of one address in a minute; health checks are not counted. */
  readonly requestsPerMinute: number
  /** Requests are refused while the event loop lags by more; 0 never. */
  readonly maxEventLoopDelayMs: number
}

/** Headers, and refusal of more work than the server can do. */
export async function useSecurity(app: App, options: SecurityOptions): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    // A browser client of another origin may read what it asked for; CORS decides that, not this header.
    crossOriginResourcePolicy: { policy: 'cross-origin' },
  })
  await app.register(rateLimit, {
    max: options.requestsPerMinute,
    timeWindow: '1 minute',
    errorResponseBuilder: (_request, { ttl }) =>
      new HttpError(429, 'TOO_BUSY', 'Too many requests from this address', {
        retryAfter: Math.ceil(ttl / 1000),
      }),
  })
  await app.register(underPressure, {
    maxEventLoopDelay: options.maxEventLoopDelayMs,
    pressureHandler: () => {
      throw new HttpError(503, 'TOO_BUSY', 'The server is overloaded')
    },
  })
}
