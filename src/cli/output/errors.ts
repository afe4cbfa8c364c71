import { constants } from 'node:os'
import { inspect } from 'node:util'
import { fileTrouble, isSystemError, PolyVeilError, printable, printableLines } from '../../errors/index.ts'
import { Interruption } from '../interruption.ts'
import { UsageError } from '../usage-error.ts'
import { printDocument } from './print.ts'

/** Shells expect this plus the signal's number as the exit code of a process that a signal ended. */
const BY_SIGNAL = 128

/**
 * Prints an error: one JSON document on stdout, or two lines on stderr. Errors other than `PolyVeilError` and
 * system errors about files are faults of the program and are printed without their message; POLYVEIL_DEBUG=1
 * prints their stack.
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

/** Prints an error as two lines on stderr. */
export function printError(error: PolyVeilError): void {
  process.stderr.write(`polyveil: ${error.code}: ${shownMessage(error)}\n${printable(error.remedy)}\n`)
}

/** The JSON form of an error. */
export const errorDocument = (error: PolyVeilError): object => ({ ...error.toJSON(), remedy: error.remedy })

/** @returns the exit code of a command that a signal ended */
export function reportStop(reason: Error): number {
  process.stderr.write('polyveil: stopped\n')
  const signal = reason instanceof Interruption ? reason.signal : 'SIGINT'
  return BY_SIGNAL + constants.signals[signal]
}

/**
 * The message in one line. Only usage errors keep their line breaks, because a suggestion has a line of its
 * own.
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
