import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit, { type FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import { JSON_LENGTH_HEADER, PROTOCOL_HEADERS, REQUEST_ID_HEADER } from '../../wire/protocol/index.ts'
import type { Audit } from '../access/audit.ts'
import { tenantOf } from '../access/caller.ts'
import { HttpError } from '../problems/http-error.ts'
import type { App } from '../services.ts'
import { limitEventLoopDelay } from './event-loop.ts'
import { limitOpenRequests } from './open-requests.ts'
import { RequestCounts, type RequestStore } from './request-counts.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Health checks and metrics are answered under load, too, and for clients with many open requests. */
    isProbe?: boolean
  }
}

export interface SecurityOptions {
  /** Requests of one tenant or address in a minute; health checks are not counted. */
  readonly requestsPerMinute: number
  /** Requests of one tenant or address that are open at once; default without a limit. */
  readonly maxOpenRequestsPerAddress?: number
  /** Connections of one address; default without a limit. */
  readonly maxConnectionsPerAddress?: number
  /** Requests are refused for a second after the event loop was blocked for longer; 0 never. */
  readonly maxEventLoopDelayMs: number
  /** Origins of web pages that may use the service, such as https://app.example; by default none. */
  readonly allowedOrigins?: readonly string[]
  /** Counts requests; by default in this process alone. */
  readonly counts?: RequestStore
}

/** Counts of the requests of this process. */
export const ownCounts = (): RequestCounts => new RequestCounts((key) => tenantOf(key) !== undefined)

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

/**
 * Sets security headers, CORS, the rate limit and the limit on load.
 *
 * @param audit gets the first request of a tenant that is refused in a minute
 */
export async function useSecurity(app: App, options: SecurityOptions, audit: Audit): Promise<void> {
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
  const counts = options.counts ?? ownCounts()
  await app.register(rateLimit, {
    store: sharedStore(counts),
    max: ({ caller }) => caller.quota.requestsPerMinute ?? options.requestsPerMinute,
    timeWindow: '1 minute',
    keyGenerator: ({ caller }) => caller.owner,
    onExceeded: (request, key) => {
      if (request.caller.tenant === undefined || !counts.refuse(key)) return
      const { requestsPerMinute = options.requestsPerMinute } = request.caller.quota
      audit('requests refused: too many', request, { requestsPerMinute })
    },
    errorResponseBuilder: (_request, { ttl }) =>
      new HttpError(429, 'TOO_BUSY', 'Too many requests in this minute', {
        retryAfter: Math.ceil(ttl / 1000),
      }),
  })
  limitOpenRequests(app, options.maxOpenRequestsPerAddress ?? Infinity)
  limitEventLoopDelay(app, options.maxEventLoopDelayMs)
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

/** The plugin makes its store from a class; this one gives it a store that exists. */
function sharedStore(counts: RequestStore): FastifyRateLimitStoreCtor {
  return class {
    constructor() {
      // biome-ignore lint/correctness/noConstructorReturn: see above
      return counts
    }
  } as unknown as FastifyRateLimitStoreCtor
}
