import { ERROR_CODES, type ErrorCodeName, PolyVeilError } from '../../errors/index.ts'
import type { Problem } from '../../wire/protocol/index.ts'
import { HttpError } from './http-error.ts'

// Seconds after which a client may try again, unless the error says otherwise.
const RETRY_AFTER: Partial<Record<ErrorCodeName, number>> = {
  TOO_BUSY: 5,
  MODEL_UNAVAILABLE: 5,
  WORKER_LOST: 2,
}

/** The problem document of an error. The message of an INTERNAL fault is not disclosed. */
export function problemOf(error: unknown, requestId: string): Problem {
  const { code, status, detail, facts, remedy = ERROR_CODES[code].remedy } = publicSide(error)
  const { cause } = ERROR_CODES[code]
  return {
    ...facts,
    type: `urn:polyveil:error:${code}`,
    title: cause,
    status,
    detail,
    code,
    error: detail,
    remedy,
    requestId,
  }
}

/** Value of `Retry-After` in seconds, where waiting helps. */
export function retryAfter(problem: Problem): number | undefined {
  if (typeof problem.retryAfter === 'number') return problem.retryAfter
  return RETRY_AFTER[problem.code as ErrorCodeName]
}

interface PublicSide extends Pick<Problem, 'status' | 'detail'> {
  readonly code: ErrorCodeName
  readonly facts: object
  readonly remedy?: string
}

function publicSide(error: unknown): PublicSide {
  if (error instanceof PolyVeilError && error.code !== 'INTERNAL') {
    const status = error instanceof HttpError ? error.status : error.entry.status
    const { code, message: detail, facts, remedy } = error
    return { code, status, detail, facts, remedy }
  }
  return (
    frameworkError(error) ?? { code: 'INTERNAL', status: 500, detail: ERROR_CODES.INTERNAL.cause, facts: {} }
  )
}

/**
 * The public side of an error of Fastify or its plugins, which carries a status. Only statuses below 500, and
 * 503 under load, are disclosed.
 */
function frameworkError(error: unknown): PublicSide | undefined {
  const { statusCode, message, code: name = '' } = error as Partial<FrameworkError>
  if (statusCode === undefined || message === undefined) return undefined
  const code = FRAMEWORK_CODES[statusCode]
  if (code === undefined && (statusCode < 400 || statusCode >= 500)) return undefined
  const detail = FRAMEWORK_SENTENCES[name] ?? message
  return { code: code ?? 'CONFIG_INVALID', status: statusCode, detail, facts: {} }
}

interface FrameworkError {
  readonly statusCode: number
  readonly message: string
  /** Such as FST_ERR_BAD_URL. */
  readonly code: string
}

const FRAMEWORK_CODES: Readonly<Record<number, ErrorCodeName | undefined>> = {
  413: 'TOO_LARGE',
  414: 'TOO_LARGE',
  429: 'TOO_BUSY',
  503: 'TOO_BUSY',
}

/** Sentences in place of Fastify's own, some of which repeat the URL. */
const FRAMEWORK_SENTENCES: Readonly<Record<string, string | undefined>> = {
  FST_ERR_BAD_URL:
    'The path of the URL has a percent sign that two hexadecimal digits of UTF-8 do not follow',
  FST_ERR_MAX_PARAM_LENGTH: 'A part of the path is longer than any name or id',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'The content type of the body is not taken here',
  FST_ERR_CTP_BODY_TOO_LARGE: 'The body is larger than this route takes',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty, and its content type announces JSON',
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not valid JSON',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The body has another length than the header Content-Length says',
}
