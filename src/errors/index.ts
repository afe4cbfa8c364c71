import { ERROR_CODES, type ErrorCode, type ErrorCodeName } from './codes.ts'

export { ERROR_CODES, type ErrorCode, type ErrorCodeName } from './codes.ts'
export { printable, printableJson, printableLines } from './printable.ts'

/** Facts beside the message, for programs: names, numbers, limits. Never a secret, a weight or a path of the server. */
export type ErrorFacts = Readonly<
  Record<string, string | number | boolean | readonly (string | number)[] | undefined>
>

/**
 * An error that a user can act on: a code, a message with the facts, and the code's remedy.
 *
 * Anything that is not a `PolyVeilError` is a fault of the program and is shown as `INTERNAL` without its message.
 */
export class PolyVeilError extends Error {
  readonly code: ErrorCodeName
  readonly facts: ErrorFacts

  constructor(code: ErrorCodeName, message: string, facts: ErrorFacts = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PolyVeilError'
    this.code = code
    this.facts = facts
  }

  /** Status, exit code, cause and remedy of this error's code. */
  get entry(): ErrorCode {
    return ERROR_CODES[this.code]
  }

  /** The same error with another message and more facts, from code that knows more of what it was about. */
  restated(message: string, facts: ErrorFacts = {}): PolyVeilError {
    return new PolyVeilError(this.code, message, { ...this.facts, ...facts }, { cause: this })
  }

  /** Plain data for crossing a worker or the network; `fromJSON` restores it. */
  toJSON(): { code: ErrorCodeName; message: string; facts: ErrorFacts } {
    return { code: this.code, message: this.message, facts: this.facts }
  }

  static fromJSON(data: { code: string; message: string; facts?: ErrorFacts }): PolyVeilError {
    const known = Object.hasOwn(ERROR_CODES, data.code) ? (data.code as ErrorCodeName) : 'INTERNAL'
    return new PolyVeilError(known, data.message, data.facts)
  }
}
