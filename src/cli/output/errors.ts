import { constants } from 'node:os'
import { inspect } from 'node:util'
import { fileTrouble, isSystemError, PolyVeilError, printable, printableLines } from '../../errors/index.ts'
import { Interruption } from '../interruption.ts'
import { UsageError } from '../usage-error.ts'
import { printDocument } from './print.ts'

/** What shells expect of a process that a signal ended: this and the signal's number. */
const BY_SIGNAL = 128

/**
 * Shows an error: one JSON document on stdout, or two lines on stderr. What is neither a `PolyVeilError` nor
 * an error of the system about a file is a fault of the program, shown without its message; the environment
 * variable POLYVEIL_DEBUG=1 shows where it comes from.
 *
 * @returns the exit code
 */
export function presentError(cause: unknown, json: boolean): number {
  if (process.env.POLYVEIL_DEBUG === '1') process.stderr.write(`${printableLines(inspect(cause))}\n`)
  const error = asPolyVeilError(cause)
  if (json) printDocument({ error: errorDocument(error) })
  else printError(error)
  return error instanceof UsageError ? UsageError.EXIT : error.entry.exit
}

/** Two lines on stderr. */
export function printError(error: PolyVeilError): void {
  process.stderr.write(`polyveil: ${error.code}: ${shownMessage(error)}\n${printable(error.remedy)}\n`)
}

/** An error as JSON documents have it. */
export const errorDocument = (error: PolyVeilError): object => ({ ...error.toJSON(), remedy: error.remedy })

/** @returns the exit code of a command that was asked to end */
export function reportStop(reason: Error): number {
  process.stderr.write('polyveil: stopped\n')
  const signal = reason instanceof Interruption ? reason.signal : 'SIGINT'
  return BY_SIGNAL + constants.signals[signal]
}

/**
 * In one line, but for what the user's own command line is told: a suggestion has a line of its own there.
 */
const shownMessage = (error: PolyVeilError): string =>
  error instanceof UsageError ? printableLines(error.message) : printable(error.message)

function asPolyVeilError(cause: unknown): PolyVeilError {
  if (cause instanceof PolyVeilError) return cause
  if (isSystemError(cause) && typeof cause.path === 'string') {
    const remedy = 'Check the path, and that this user may use it.'
    return new PolyVeilError('CONFIG_INVALID', `${cause.path} ${fileTrouble(cause)}`, {}, { cause, remedy })
  }
  return new PolyVeilError('INTERNAL', 'A fault inside PolyVeil; POLYVEIL_DEBUG=1 shows where')
}
