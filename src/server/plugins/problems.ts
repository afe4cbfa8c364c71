import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import {
  PROBLEM_MEDIA_TYPE,
  type Problem,
  REQUEST_ID_HEADER,
  RETRY_AFTER_HEADER,
} from '../../wire/protocol/index.ts'
import { problemOf, retryAfter } from '../problems/problem.ts'
import type { App } from '../services.ts'
import { StorageTrouble } from '../stores/storage-trouble.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Code of the problem that it tells. */
    problemCode?: string
  }
}

/**
 * Answers every error of a route as `application/problem+json`, and logs faults of the server. Every answer
 * names its request.
 */
export function useProblems(app: App): void {
  app.decorateReply('problemCode')
  app.setErrorHandler(sendProblem)
  app.addHook('onRequest', async (request, reply) => {
    reply.header(REQUEST_ID_HEADER, request.id)
  })
}

/** Answers a request with the problem document of an error; hooks need not have run. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error, request.id)
  if (problem.status >= 500) logFailure(request.log, problem, error)
  reply.problemCode = problem.code
  const wait = retryAfter(problem)
  if (wait !== undefined) reply.header(RETRY_AFTER_HEADER, wait)
  // The body is sent as bytes, because Fastify adds a charset to text, which this media type does not have.
  return reply
    .code(problem.status)
    .header(REQUEST_ID_HEADER, request.id)
    .type(PROBLEM_MEDIA_TYPE)
    .send(Buffer.from(JSON.stringify(problem)))
}

/** A server that has no room is no fault: its line is short, since under load there are many. */
function logFailure(log: FastifyBaseLogger, { code, status, detail }: Problem, error: unknown): void {
  // The log has one line for a disk that cannot be written, and another one when it can be again.
  const isKnown = error instanceof StorageTrouble
  const isFault = code === 'INTERNAL' || !(error instanceof PolyVeilError)
  if (isKnown) log.debug({ code, status, detail }, 'The request was not served')
  else if (isFault) log.error({ err: error }, 'The request failed by a fault of the server')
  else log.warn({ code, status, detail }, 'The request was not served')
}
