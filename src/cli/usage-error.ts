import { type ErrorFacts, PolyVeilError } from '../errors/index.ts'

/**
 * The command line itself is wrong: an unknown flag, a missing argument, a value that no version knows. Exit
 * code 2.
 */
export class UsageError extends PolyVeilError {
  static readonly EXIT = 2

  constructor(message: string, facts?: ErrorFacts, remedy = 'Try polyveil --help.') {
    super('CONFIG_INVALID', message, facts, { remedy })
  }
}
