import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyInstance } from 'fastify'
import type { PolyVeilError } from '../../errors/index.ts'
import { PROBLEM_MEDIA_TYPE, REQUEST_ID_HEADER, RETRY_AFTER_HEADER } from '../../wire/protocol/index.ts'
import { badRequest, HttpError, uriTooLong } from '../problems/http-error.ts'
import { problemOf, retryAfter } from '../problems/problem.ts'
import type { App } from '../services.ts'
import { requestId } from './logging.ts'

// Node answers some requests before Fastify sees them. Here they get problem documents, too.

/** The latest response on a connection. */
const responses = new WeakMap<Socket, ServerResponse>()

/** Notes responses for `answerUnparsed`, and answers expectations that the server cannot meet. */
export function useUnparsedRequests(app: App): void {
  app.addHook('onRequest', async ({ raw }, reply) => {
    responses.set(raw.socket, reply.raw)
    if (raw.httpVersion === '1.1' && raw.headers.host === undefined)
      throw badRequest('The header Host is missing; HTTP/1.1 requires it', { field: 'headers.host' })
  })
  app.server.on('checkExpectation', (request, response: ServerResponse) => {
    const error = new HttpError(
      417,
      'CONFIG_INVALID',
      'The server knows no other expectation than 100-continue',
    )
    const { status, head, body } = answerTo(error)
    request.resume()
    response.writeHead(status, head).end(body)
  })
}

// The client reads the answer in this time, before the connection is closed.
const LINGER_MILLISECONDS = 1000

/** Answers bytes that are no well-formed request, or that do not become one in time. */
export function answerUnparsed(this: FastifyInstance, fault: ConnectionError, socket: Socket): void {
  const response = responses.get(socket)
  if (response?.headersSent && !response.writableFinished) {
    // The answer to an earlier part of the request is under way; another one in its midst would garble it.
    socket.destroy(fault)
    return
  }
  if (fault.code === 'ECONNRESET' || !socket.writable) return
  // The error itself has the bytes that arrived, with all headers.
  const { code, reason, bytesParsed } = fault as ConnectionError & { reason?: string }
  this.log.trace({ code, reason, bytesParsed }, 'A request could not be parsed')
  answerOnSocket(socket, faultOf(fault))
  // To destroy it at once could lose the answer, because the client may still be sending.
  setTimeout(() => socket.destroy(), LINGER_MILLISECONDS).unref()
}

/** Ends a connection with the answer to a request that the server does not read. */
export function answerOnSocket(socket: Socket, error: PolyVeilError): Socket {
  const { status, head, body } = answerTo(error)
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`)
  return socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`)
}

interface WholeAnswer {
  readonly status: number
  readonly head: Record<string, string>
  readonly body: string
}

function answerTo(error: PolyVeilError): WholeAnswer {
  const id = requestId()
  const problem = problemOf(error, id)
  const body = JSON.stringify(problem)
  const wait = retryAfter(problem)
  const head = {
    'Content-Type': PROBLEM_MEDIA_TYPE,
    'Content-Length': String(Buffer.byteLength(body)),
    'X-Content-Type-Options': 'nosniff',
    [REQUEST_ID_HEADER]: id,
    ...(wait !== undefined && { [RETRY_AFTER_HEADER]: String(wait) }),
    Connection: 'close',
  }
  return { status: problem.status, head, body }
}

function faultOf(fault: ConnectionError): HttpError {
  switch (fault.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError(
        408,
        'CONFIG_INVALID',
        'The request did not arrive completely in time',
        {},
        {
          remedy: 'Send it again, in smaller parts or over a faster connection.',
        },
      )
    case 'HPE_HEADER_OVERFLOW':
      return isInRequestLine(fault)
        ? uriTooLong()
        : new HttpError(431, 'TOO_LARGE', 'The headers are too long')
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new HttpError(413, 'TOO_LARGE', 'The chunk extensions of the body are too long')
    default:
      return badRequest('The request is not well-formed HTTP', { reason: fault.code })
  }
}

/** Whether the parser has not seen the end of the request's first line. */
function isInRequestLine({ rawPacket }: ConnectionError): boolean {
  const packet = Buffer.from(rawPacket as unknown as Uint8Array)
  return (
    /^[A-Z]+ /.test(packet.toString('latin1', 0, 20)) && !packet.subarray(0, MAX_HEAD_BYTES).includes('\n')
  )
}

/** Node's default, which the server keeps. */
const MAX_HEAD_BYTES = 16 * 2 ** 10
