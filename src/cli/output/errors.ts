import { inspect } from 'node:util'
import { PolyVeilError, printable, printableLines } from '../../errors/index.ts'
import { UsageError } from '../usage-error.ts'
import { printDocument } from './print.ts'

/** What shells expect after an interrupt: 128 and the signal's number. */
const INTERRUPTED = 130

/**
 * Shows an error: one JSON document on stdout, or two lines on stderr. What is no `PolyVeilError` is a fault of the
 * program, shown without its message; the environment variable POLYVEIL_DEBUG=1 shows where it comes from.
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
  process.stderr.write(`polyveil: ${error.code}: ${shownMessage(error)}\n${hint(error)}\n`)
}

/** An error as JSON documents have it. */
export const errorDocument = (error: PolyVeilError): object => ({
  ...error.toJSON(),
  remedy: error.entry.remedy,
})

/** @returns the exit code of a command that the user stopped */
export function reportStop(): number {
  process.stderr.write('polyveil: stopped\n')
  return INTERRUPTED
}

/** In one line, but for what the user's own command line is told: a suggestion has a line of its own there. */
const shownMessage = (error: PolyVeilError): string =>
  error instanceof UsageError ? printableLines(error.message) : printable(error.message)

const hint = (error: PolyVeilError): string =>
  error instanceof UsageError ? 'Try polyveil --help.' : error.entry.remedy

function asPolyVeilError(cause: unknown): PolyVeilError {
  if (cause instanceof PolyVeilError) return cause
  return new PolyVeilError('INTERNAL', 'A fault inside PolyVeil; POLYVEIL_DEBUG=1 shows where')
}
