import { type ErrorFacts, PolyVeilError } from '../errors/index.ts'

/**
 * Wrong usage of the command line: an unknown flag, a missing argument or an unknown value. Exit code 2.
 */
export class UsageError extends PolyVeilError {
  static readonly EXIT = 2

  constructor(message: string, facts?: ErrorFacts, remedy = 'Try polyveil --help.') {
    super('CONFIG_INVALID', message, facts, { remedy })
  }
}
