import { ERROR_CODES, type ErrorCode, type ErrorCodeName } from './codes.ts'

/**
 * Facts beside the message, for programs: names, numbers, limits. Never a secret, a weight or a path of the
 * server.
 */
export type ErrorFacts = Readonly<
  Record<string, string | number | boolean | readonly (string | number)[] | undefined>
>

export interface PolyVeilErrorOptions {
  readonly cause?: unknown
  /** The remedy in this case, where the code's remedy does not fit it. */
  readonly remedy?: string
}

/** A `PolyVeilError` as plain data. */
export interface ErrorData {
  readonly code: ErrorCodeName
  readonly message: string
  readonly facts: ErrorFacts
  /** Only where it is another than the code's. */
  readonly remedy?: string
}

/**
 * An error that a user can act on: a code, a message with the facts, and a remedy.
 *
 * Anything that is not a `PolyVeilError` is a fault of the program and is shown as `INTERNAL` without its
 * message.
 */
export class PolyVeilError extends Error {
  readonly code: ErrorCodeName
  readonly facts: ErrorFacts
  /** The remedy of this case, or else the code's. */
  readonly remedy: string

  constructor(
    code: ErrorCodeName,
    message: string,
    facts: ErrorFacts = {},
    { remedy = ERROR_CODES[code].remedy, ...options }: PolyVeilErrorOptions = {},
  ) {
    super(message, options)
    this.name = 'PolyVeilError'
    this.code = code
    this.facts = facts
    this.remedy = remedy
  }

  /** Status, exit code, cause and remedy of this error's code. */
  get entry(): ErrorCode {
    return ERROR_CODES[this.code]
  }

  /** The same error with another message and more facts, for callers that know the circumstances. */
  restated(message: string, facts: ErrorFacts = {}): PolyVeilError {
    return new PolyVeilError(
      this.code,
      message,
      { ...this.facts, ...facts },
      { cause: this, remedy: this.remedy },
    )
  }

  /** Plain data for crossing a worker or the network; `fromJSON` restores it. */
  toJSON(): ErrorData {
    const { code, message, facts, remedy } = this
    return { code, message, facts, ...(remedy !== this.entry.remedy && { remedy }) }
  }

  static fromJSON(data: {
    code: string
    message: string
    facts?: ErrorFacts
    remedy?: string
  }): PolyVeilError {
    const known = Object.hasOwn(ERROR_CODES, data.code) ? (data.code as ErrorCodeName) : 'INTERNAL'
    return new PolyVeilError(known, data.message, data.facts, { remedy: data.remedy })
  }
}
