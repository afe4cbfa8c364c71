import type { ErrorCodeName } from './codes.ts'
import { PolyVeilError } from './polyveil-error.ts'
import { fileTrouble, isSystemError } from './system.ts'

const CHECK_PATH = 'Check the path, and that this user may use it.'

/** A file or directory that an operation works on. */
export interface FileSubject {
  /** Its role and its path, as the beginning of a sentence: "The config network.json". */
  readonly name: string
  /** The code of errors when the system refuses it. */
  readonly code?: ErrorCodeName
  /** The remedy for its contents, where the code's remedy does not fit. */
  readonly remedy?: string
}

/** The error for a file that the system refuses, with the file's role and the reason. */
export function refusedFile({ name, code = 'CONFIG_INVALID' }: FileSubject, cause: unknown): PolyVeilError {
  return new PolyVeilError(code, `${name} ${fileTrouble(cause)}`, {}, { cause, remedy: CHECK_PATH })
}

/**
 * Runs an operation on a file. Errors get the file's name, and errors of the system become sentences.
 *
 * @throws errors of `body`, with the file's name in front of the message; `code` for errors of the system
 */
export async function inFile<T>(subject: FileSubject, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (cause) {
    if (isSystemError(cause)) throw refusedFile(subject, cause)
    if (!(cause instanceof PolyVeilError)) throw cause
    if (isSystemError(cause.cause)) throw refusedFile({ ...subject, code: cause.code }, cause.cause)
    const remedy = subject.remedy ?? cause.remedy
    throw new PolyVeilError(cause.code, `${subject.name}: ${cause.message}`, cause.facts, { cause, remedy })
  }
}
