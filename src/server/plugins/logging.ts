import { randomUUID } from 'node:crypto'
import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { DestinationStream } from 'pino'
import { nameOf } from '../stores/key-store.ts'

export interface LoggingOptions {
  readonly level: string
  /** Where lines go; standard output when absent. */
  readonly stream?: DestinationStream
}

/**
 * Fastify options for a log that holds no secret: no bodies, no headers, routes instead of URLs. A key set appears as
 * the beginning of its hash, which is good for comparing and for nothing else.
 */
export const loggingOptions = ({ level, stream }: LoggingOptions): FastifyServerOptions => ({
  logger: {
    level,
    ...(stream && { stream }),
    redact: ['req.headers', 'headers.authorization', 'headers.cookie'],
    serializers: { req: loggedRequest },
  },
  genReqId: () => randomUUID(),
})

function loggedRequest(request: FastifyRequest): Record<string, unknown> {
  const route = request.routeOptions?.url
  const { id } = (request.params ?? {}) as { id?: string }
  return {
    method: request.method,
    route,
    remoteAddress: request.ip,
    ...(id !== undefined && route?.startsWith('/v2/keys') && { keySet: nameOf(id).slice(0, 12) }),
  }
}
