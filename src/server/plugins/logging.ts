import { randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'
import { printableJson } from '../../errors/index.ts'
import { KEY_SET_HEADER } from '../inference/binary-body.ts'
import { nameOf } from '../stores/key-store.ts'
import { loggedName } from '../stores/store-log.ts'

/**
 * A log that holds no secret: no bodies, no headers, routes instead of URLs. A key set appears as the
 * beginning of its hash, which is good for comparing and for nothing else.
 *
 * @param stream where lines go; standard output when absent
 */
export const createLogger = (level: string, stream?: DestinationStream): Logger =>
  pino(
    {
      level,
      redact: ['req.headers', 'headers.authorization', 'headers.cookie', `headers["${KEY_SET_HEADER}"]`],
      serializers: { req: loggedRequest, res: loggedReply, err: stdSerializers.err },
    },
    printableStream(stream ?? pino.destination(1)),
  )

/**
 * Escapes what pino's JSON leaves of control characters: DEL, C1, and those that turn the direction of
 * writing. They may come from a client, in `X-Forwarded-For` for one, and a log is read on terminals.
 */
const printableStream = (stream: DestinationStream): DestinationStream => ({
  write: (line) => stream.write(printableJson(line)),
})

/** Request ids are the server's own: what a client sends could be anything. */
export const requestId = (): string => randomUUID()

function loggedRequest(request: FastifyRequest): Record<string, unknown> {
  const route = request.routeOptions?.url
  const header = request.headers[KEY_SET_HEADER]
  const { id = header } = ((route?.startsWith('/v2/keys') && request.params) || {}) as { id?: unknown }
  return {
    method: request.method,
    route,
    remoteAddress: request.ip,
    ...(typeof id === 'string' && { keySet: loggedName(nameOf(id)) }),
  }
}

const loggedReply = (reply: FastifyReply): Record<string, unknown> => ({ statusCode: reply.statusCode })
