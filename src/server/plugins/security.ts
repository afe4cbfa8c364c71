import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import { JSON_LENGTH_HEADER, PROTOCOL_HEADERS, REQUEST_ID_HEADER } from '../../wire/protocol/index.ts'
import { HttpError } from '../problems/http-error.ts'
import type { App } from '../services.ts'
import { limitOpenRequests } from './open-requests.ts'

export interface SecurityOptions {
  /** Requests of one tenant or address in a minute; health checks are not counted. */
  readonly requestsPerMinute: number
  /** Requests of one tenant or address that are open at once; default without a limit. */
  readonly maxOpenRequestsPerAddress?: number
  /** Requests are refused while the event loop lags by more; 0 never. */
  readonly maxEventLoopDelayMs: number
  /** Origins of web pages that may use the service, such as https://app.example; by default none. */
  readonly allowedOrigins?: readonly string[]
}

/** Headers that a page of another origin may send, and read, besides those that CORS always allows. */
const REQUEST_HEADERS = ['Authorization', 'Content-Type', ...PROTOCOL_HEADERS]
const RESPONSE_HEADERS = [
  JSON_LENGTH_HEADER,
  'Location',
  'Preference-Applied',
  'Retry-After',
  REQUEST_ID_HEADER,
]
const PREFLIGHT_SECONDS = 7200

/** Sets security headers, CORS, the rate limit and the limit on load. */
export async function useSecurity(app: App, options: SecurityOptions): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    // CORS decides which origins may read an answer; this header must not forbid it.
    crossOriginResourcePolicy: { policy: 'cross-origin' },
  })
  // CORS comes before the plugins that refuse requests, so that pages can read the reason.
  await useCors(app, options)
  await app.register(rateLimit, {
    max: ({ caller }) => caller.quota.requestsPerMinute ?? options.requestsPerMinute,
    timeWindow: '1 minute',
    keyGenerator: ({ caller }) => caller.owner,
    errorResponseBuilder: (_request, { ttl }) =>
      new HttpError(429, 'TOO_BUSY', 'Too many requests in this minute', {
        retryAfter: Math.ceil(ttl / 1000),
      }),
  })
  limitOpenRequests(app, options.maxOpenRequestsPerAddress ?? Infinity)
  await app.register(underPressure, {
    maxEventLoopDelay: options.maxEventLoopDelayMs,
    // Probes and metrics are answered under load, too: they tell the operator of it.
    pressureHandler: ({ routeOptions }) => {
      if (routeOptions.config?.rateLimit === false) return
      throw new HttpError(503, 'TOO_BUSY', 'The server is overloaded')
    },
  })
}

/**
 * Sets the origins that may read answers. Credentials are not allowed, since requests carry their
 * authorisation in headers.
 */
async function useCors(app: App, { allowedOrigins = [] }: SecurityOptions): Promise<void> {
  if (allowedOrigins.length === 0) return
  await app.register(cors, {
    origin: [...allowedOrigins],
    methods: ['GET', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: RESPONSE_HEADERS,
    maxAge: PREFLIGHT_SECONDS,
    // Other requests with the method OPTIONS are answered like preflight requests, and not refused.
    strictPreflight: false,
  })
}
