import type { RouteOptions } from 'fastify'
import {
  JSON_LENGTH_HEADER,
  JSON_MEDIA_TYPE,
  PROBLEM_MEDIA_TYPE,
  REQUEST_ID_HEADER,
  RETRY_AFTER_HEADER,
} from '../../wire/protocol/index.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Headers of the route's answers by status, for the OpenAPI document. */
    answerHeaders?: Readonly<Record<number, readonly AnswerHeader[]>>
  }
}

type Schema = Readonly<Record<string, unknown>>
/** JSON Schemas of responses by status, as the OpenAPI plugin takes them. */
export type Responses = Readonly<Record<string, Schema>>

/** What each status means, where its response is a problem. */
const PROBLEMS = {
  400: 'The request, one of its headers or parameters, or its body is malformed',
  401: 'The service needs a token, and the request has no valid one',
  403: 'The token does not allow this',
  404: 'There is no such model or inference',
  408: 'The request did not arrive in time',
  409: 'The request contradicts the state of the server',
  410: 'The key set or the circuit is gone: it has expired, was deleted or retired, or never was',
  413: 'The body is too large',
  414: 'The URL, or a part of its path, is too long',
  415: 'The body has another content type than the route takes, or is compressed',
  422: 'The body is well-formed, but contradicts itself or the model',
  429: 'The client has sent too many requests',
  431: 'The headers are too large',
  500: 'The server has a fault',
  503: 'The server has no room now',
  507: 'The server lacks the memory that the model needs, or cannot write to its disk now',
} as const
export type ProblemStatus = keyof typeof PROBLEMS

const OF_ALL: readonly ProblemStatus[] = [400, 408, 414, 431, 500, 503]
const OF_LIMITED: readonly ProblemStatus[] = [429]
const OF_TOKENS: readonly ProblemStatus[] = [401, 403]
const OF_BODIES: readonly ProblemStatus[] = [413, 415]
const WITH_RETRY: readonly number[] = [429, 503]

const HEADERS = {
  [REQUEST_ID_HEADER]: { type: 'string', format: 'uuid', description: 'Names the request in the server log' },
  [RETRY_AFTER_HEADER]: {
    type: 'integer',
    minimum: 0,
    description: 'Seconds after which the request may be sent again',
  },
  [JSON_LENGTH_HEADER]: {
    type: 'integer',
    minimum: 1,
    description: 'The number of bytes of JSON at the beginning of the body; the frame follows',
  },
  'www-authenticate': { type: 'string', description: 'The challenge of RFC 6750' },
  location: { type: 'string', description: 'The path of the key set or of the inference' },
  etag: { type: 'string', description: 'The digest of the manifest, in quotation marks' },
  'preference-applied': { type: 'string', description: 'The preference that was honoured (RFC 7240)' },
} as const
export type AnswerHeader = keyof typeof HEADERS

/** Adds the problems that every route can have to the responses of a route, and describes their headers. */
export function completeResponses(responses: Responses, route: RouteOptions): Responses {
  const { config, schema } = route
  const statuses = [
    ...OF_ALL,
    ...(config?.rateLimit === false ? [] : OF_LIMITED),
    ...(config?.access === 'open' ? [] : OF_TOKENS),
    ...(config?.binaryBody || schema?.body ? OF_BODIES : []),
  ]
  const complete = { ...responses }
  for (const status of statuses) complete[status] = withProblem(status, complete[status])
  return Object.fromEntries(
    Object.entries(complete).map(([status, response]) => [
      status,
      {
        ...described(response, schema?.summary),
        headers: headersOf(Number(status), config?.answerHeaders?.[Number(status)]),
      },
    ]),
  )
}

/** The description of a problem with this status. */
export const problemMeaning = (status: ProblemStatus): string => PROBLEMS[status]

const problemContent = { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } }

/** A response with a description; the route's summary describes a JSON document. */
const described = (response: Schema, description = 'Success'): Schema =>
  'content' in response || response.type === 'null'
    ? response
    : { description, content: { [JSON_MEDIA_TYPE]: { schema: response } } }

/** A response that is a problem, or else what the route answers with this status. */
function withProblem(status: ProblemStatus, own?: Schema): Schema {
  const description = PROBLEMS[status]
  if (own === undefined) return { description, content: problemContent }
  const content = own.content ?? { [JSON_MEDIA_TYPE]: { schema: own } }
  return { description, content: { ...(content as Schema), ...problemContent } }
}

function headersOf(status: number, own: readonly AnswerHeader[] = []): Schema {
  const names: AnswerHeader[] = [REQUEST_ID_HEADER, ...own]
  if (OF_TOKENS.includes(status as ProblemStatus)) names.push('www-authenticate')
  if (WITH_RETRY.includes(status)) names.push(RETRY_AFTER_HEADER)
  return Object.fromEntries(names.map((name) => [name, HEADERS[name]]))
}
