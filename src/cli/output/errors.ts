import { fileTrouble, isSystemError, PolyVeilError } from '../../errors/index.ts'
import { UsageError } from '../usage-error.ts'
import { printDocument } from './print.ts'

/** What shells expect after an interrupt: 128 and the signal's number. */
const INTERRUPTED = 130

/**
 * Shows an error: one JSON document on stdout, or two lines on stderr. What is neither a `PolyVeilError` nor an error of the
 * system about a file is a fault of the program, shown without its message; the environment variable POLYVEIL_DEBUG=1 shows where it comes from.
 *
 * @returns the exit code
 */
export function presentError(cause: unknown, json: boolean): number {
  if (process.env.POLYVEIL_DEBUG === '1') console.error(cause)
  const error = asPolyVeilError(cause)
  const { remedy, entry } = error
  if (json) printDocument({ error: { ...error.toJSON(), remedy } })
  else process.stderr.write(`polyveil: ${error.code}: ${error.message}\n${remedy}\n`)
  return error instanceof UsageError ? UsageError.EXIT : entry.exit
}

/** @returns the exit code of a command that the user stopped */
export function reportStop(): number {
  process.stderr.write('polyveil: stopped\n')
  return INTERRUPTED
}

function asPolyVeilError(cause: unknown): PolyVeilError {
  if (cause instanceof PolyVeilError) return cause
  if (isSystemError(cause) && typeof cause.path === 'string') {
    const remedy = 'Check the path, and that this user may use it.'
    return new PolyVeilError('CONFIG_INVALID', `${cause.path} ${fileTrouble(cause)}`, {}, { cause, remedy })
  }
  return new PolyVeilError('INTERNAL', 'A fault inside PolyVeil; POLYVEIL_DEBUG=1 shows where')
}
