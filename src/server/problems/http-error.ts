import {
  type ErrorCodeName,
  type ErrorData,
  type ErrorFacts,
  PolyVeilError,
  type PolyVeilErrorOptions,
} from '../../errors/index.ts'

/** A `PolyVeilError` that HTTP answers with another status than its code's usual one. */
export class HttpError extends PolyVeilError {
  readonly status: number

  constructor(
    status: number,
    code: ErrorCodeName,
    message: string,
    facts: ErrorFacts = {},
    options: PolyVeilErrorOptions = {},
  ) {
    super(code, message, facts, options)
    this.status = status
  }
}

/** 409: what was asked contradicts the state that the server is in; the facts say which state. */
export const conflict = (code: ErrorCodeName, message: string, facts: ErrorFacts = {}): HttpError =>
  new HttpError(409, code, message, facts)

/** 507: the server has not the memory that the request takes; it would be no use to send it again. */
export const insufficientStorage = ({ code, message, facts, remedy }: ErrorData): HttpError =>
  new HttpError(507, code, message, facts, { remedy })

/** 400: a header, parameter or JSON body is not as the OpenAPI document describes it. */
export const badRequest = (message: string, facts: ErrorFacts = {}): HttpError =>
  new HttpError(400, 'CONFIG_INVALID', message, facts)
