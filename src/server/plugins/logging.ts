import { randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'
import { nameOf } from '../stores/key-store.ts'

/**
 * A log that holds no secret: no bodies, no headers, routes instead of URLs. A key set appears as the beginning of its
 * hash, which is good for comparing and for nothing else.
 *
 * @param stream where lines go; standard output when absent
 */
export const createLogger = (level: string, stream?: DestinationStream): Logger =>
  pino(
    {
      level,
      redact: ['req.headers', 'headers.authorization', 'headers.cookie'],
      serializers: { req: loggedRequest, res: loggedReply, err: stdSerializers.err },
    },
    stream ?? pino.destination(1),
  )

/** Request ids are the server's own: what a client sends could be anything. */
export const requestId = (): string => randomUUID()

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

const loggedReply = (reply: FastifyReply): Record<string, unknown> => ({ statusCode: reply.statusCode })
