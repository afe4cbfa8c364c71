import {
  type ErrorCodeName,
  type ErrorData,
  type ErrorFacts,
  PolyVeilError,
  type PolyVeilErrorOptions,
} from '../../errors/index.ts'

/** A `PolyVeilError` with another HTTP status than the default of its code. */
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

/** 409: the request conflicts with the state of the server, which the facts describe. */
export const conflict = (code: ErrorCodeName, message: string, facts: ErrorFacts = {}): HttpError =>
  new HttpError(409, code, message, facts)

/** 410: what the request names was here, and is not any more. */
export const gone = (
  code: ErrorCodeName,
  message: string,
  facts: ErrorFacts = {},
  options: PolyVeilErrorOptions = {},
): HttpError => new HttpError(410, code, message, facts, options)

/** 422: the request is well-formed, and what it names does not suffice for it. */
export const unprocessable = ({ code, message, facts, remedy }: ErrorData): HttpError =>
  new HttpError(422, code, message, facts, { remedy })

/** 507: the server lacks the memory that the request needs; sending it again does not help. */
export const insufficientStorage = ({ code, message, facts, remedy }: ErrorData): HttpError =>
  new HttpError(507, code, message, facts, { remedy })

/** 400: a header, parameter or JSON body is not as the OpenAPI document describes it. */
export const badRequest = (message: string, facts: ErrorFacts = {}): HttpError =>
  new HttpError(400, 'CONFIG_INVALID', message, facts)

export const uriTooLong = (): HttpError => new HttpError(414, 'TOO_LARGE', 'The URL is too long')
