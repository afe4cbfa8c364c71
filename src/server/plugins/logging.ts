import { randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'
import { printableJson } from '../../errors/index.ts'
import { KEY_SET_HEADER, ROUTES, routeOf } from '../../wire/protocol/index.ts'
import { shownAddress } from '../addresses/client-address.ts'
import { nameOf } from '../stores/key-store.ts'
import { loggedName } from '../stores/store-log.ts'

/**
 * Creates a log without secrets: it has no bodies and no headers, and routes instead of URLs. A key set
 * appears as the first characters of its id's hash, which cannot be used to access it.
 *
 * @param stream where lines go; standard output when absent
 */
export const createLogger = (level: string, stream?: DestinationStream): Logger =>
  pino(
    {
      level,
      redact: [
        ...['req.headers', 'headers.authorization', 'headers.cookie', `headers["${KEY_SET_HEADER}"]`],
        // Errors of Node's parser have the bytes that arrived.
        ...['err.rawPacket', 'rawPacket'],
      ],
      serializers: { req: loggedRequest, res: loggedReply, err: loggedError },
    },
    printableStream(stream ?? standardOutput()),
  )

/** Characters of lines that are kept while they cannot be written. */
const MOST_KEPT = 4 * 2 ** 20

/**
 * Standard output. While it cannot be written, as on a full disk, lines wait for the next write that
 * succeeds, and are lost beyond `MOST_KEPT`. Without a listener the error would end the process.
 */
function standardOutput(): DestinationStream {
  const stream = pino.destination({ dest: 1, sync: true, maxLength: MOST_KEPT })
  stream.on('error', () => {})
  return stream
}

/**
 * Escapes control characters that pino's JSON leaves in place: DEL, C1, and those that turn the direction of
 * writing. A client can send them, for example in `X-Forwarded-For`, and logs are read on terminals.
 */
const printableStream = (stream: DestinationStream): DestinationStream => ({
  write: (line) => stream.write(printableJson(line)),
})

/** The server makes request ids itself and ignores those of clients. */
export const requestId = (): string => randomUUID()

function loggedRequest(request: FastifyRequest): Record<string, unknown> {
  const route = request.routeOptions?.url
  const header = request.headers[KEY_SET_HEADER]
  const { id = header } = ((route?.startsWith(routeOf(ROUTES.keys)) && request.params) || {}) as {
    id?: unknown
  }
  return {
    method: request.method,
    route,
    remoteAddress: shownAddress(request.ip),
    ...(typeof id === 'string' && { keySet: loggedName(nameOf(id)) }),
  }
}

/** Commands of Redis that an error is about, with their arguments, such as passwords and what is stored. */
const COMMANDS: readonly string[] = ['command', 'previousErrors']

/**
 * An error without bytes and commands: the parser of HTTP attaches the packet that it refuses, with tokens
 * and ids of key sets in it.
 */
function loggedError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const fields = Object.entries(stdSerializers.err(error)).filter(
    ([name, value]) => !ArrayBuffer.isView(value) && !COMMANDS.includes(name),
  )
  return Object.fromEntries(fields)
}

const loggedReply = (reply: FastifyReply): Record<string, unknown> => ({ statusCode: reply.statusCode })
