import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import { countedAddress } from '../client-address.ts'
import { KEY_SET_HEADER, LENGTH_HEADER } from '../inference/binary-body.ts'
import { HttpError } from '../problems/http-error.ts'
import type { App } from '../services.ts'

export interface SecurityOptions {
  /** Requests of one address in a minute; health checks are not counted. */
  readonly requestsPerMinute: number
  /** Requests are refused while the event loop lags by more; 0 never. */
  readonly maxEventLoopDelayMs: number
  /** Origins of web pages that may use the service, such as https://app.example; by default none. */
  readonly allowedOrigins?: readonly string[]
}

/** What a page of another origin may send beside what it always may, and read beside what it always may. */
const REQUEST_HEADERS = [
  'Authorization',
  'Content-Type',
  LENGTH_HEADER,
  KEY_SET_HEADER,
  'Prefer',
  'Upload-Offset',
]
const RESPONSE_HEADERS = [LENGTH_HEADER, 'Retry-After']
const PREFLIGHT_SECONDS = 7200

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
  // Before what refuses requests, so that pages can read why.
  await useCors(app, options)
  await app.register(rateLimit, {
    max: options.requestsPerMinute,
    timeWindow: '1 minute',
    keyGenerator: ({ ip }) => countedAddress(ip),
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

/**
 * Tells browsers which other origins may read answers. No credentials: what authorises is in the requests
 * themselves.
 */
async function useCors(app: App, { allowedOrigins = [] }: SecurityOptions): Promise<void> {
  if (allowedOrigins.length === 0) return
  await app.register(cors, {
    origin: [...allowedOrigins],
    methods: ['GET', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: RESPONSE_HEADERS,
    maxAge: PREFLIGHT_SECONDS,
  })
}
