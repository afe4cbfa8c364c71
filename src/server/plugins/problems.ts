import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { PROBLEM_MEDIA_TYPE, RETRY_AFTER_HEADER } from '../../wire/protocol/index.ts'
import { badRequest, HttpError } from '../problems/http-error.ts'
import { problemOf, retryAfter } from '../problems/problem.ts'
import type { App } from '../services.ts'

/**
 * Answers every error, including unknown routes, as `application/problem+json`, and logs faults of the
 * server.
 */
export function useProblems(app: App): void {
  app.setErrorHandler((error, request, reply) => sendProblem(asHttpError(error), request, reply))
  app.setNotFoundHandler((request, reply) => {
    const error = new HttpError(
      404,
      'CONFIG_INVALID',
      'There is no such route; GET /openapi.json lists them all',
    )
    return sendProblem(error, request, reply)
  })
}

function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error, request.id)
  if (problem.status >= 500) logFault(request.log, error)
  const wait = retryAfter(problem)
  if (wait !== undefined) reply.header(RETRY_AFTER_HEADER, wait)
  // The body is sent as bytes, because Fastify adds a charset to text, which this media type does not have.
  return reply
    .code(problem.status)
    .type(PROBLEM_MEDIA_TYPE)
    .send(Buffer.from(JSON.stringify(problem)))
}

const logFault = (log: FastifyBaseLogger, error: unknown): void =>
  log.error({ err: error }, 'The request failed by a fault of the server')

function asHttpError(error: unknown): unknown {
  if (!hasZodFastifySchemaValidationErrors(error)) return error
  const [issue] = error.validation
  const place = `${error.validationContext}${issue.instancePath.replaceAll('/', '.')}`
  return badRequest(`${place}: ${issue.message}`, { field: place })
}
