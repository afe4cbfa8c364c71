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
  const { statusCode, message } = error as { statusCode?: number; message?: string }
  if (statusCode === undefined || message === undefined) return undefined
  const code = FRAMEWORK_CODES[statusCode]
  if (code === undefined && (statusCode < 400 || statusCode >= 500)) return undefined
  return { code: code ?? 'CONFIG_INVALID', status: statusCode, detail: message, facts: {} }
}

const FRAMEWORK_CODES: Readonly<Record<number, ErrorCodeName | undefined>> = {
  413: 'TOO_LARGE',
  429: 'TOO_BUSY',
  503: 'TOO_BUSY',
}
