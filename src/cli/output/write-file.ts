import { randomUUID } from 'node:crypto'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileTrouble, isSystemError, PolyVeilError, type SystemError } from '../../errors/index.ts'

/** Bytes, or chunks of them as they become ready. */
export type Content = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/**
 * Writes a file so that it is there whole or not at all: beside its place first, then renamed. An earlier
 * file of that name survives every failure.
 *
 * @throws CONFIG_INVALID when the place cannot be written; what the chunks throw
 */
export async function writeWhole(path: string, content: Content): Promise<void> {
  const draft = draftOf(path)
  try {
    await writeDraft(draft, content)
    await rename(draft, path)
  } catch (cause) {
    await removeDraft(draft)
    throw isSystemError(cause) ? unwritable(path, cause) : cause
  }
}

/**
 * Finds out before long work whether a file could be written, by writing an empty draft beside its place.
 *
 * @param replace whether an earlier file of that name may go
 * @throws CONFIG_INVALID when the place cannot be written, is a directory, or has a file that is not to be
 *   replaced
 */
export async function checkWritable(path: string, replace: boolean): Promise<void> {
  const earlier = await stat(path).catch(() => undefined)
  if (earlier?.isDirectory()) throw new PolyVeilError('CONFIG_INVALID', `${path} is a directory, not a file`)
  if (earlier !== undefined && !replace) {
    throw new PolyVeilError('CONFIG_INVALID', `${path} exists already; --force replaces it`)
  }
  const draft = draftOf(path)
  try {
    await writeDraft(draft, new Uint8Array())
  } catch (cause) {
    throw isSystemError(cause) ? unwritable(path, cause) : cause
  } finally {
    await removeDraft(draft)
  }
}

const draftOf = (path: string): string => `${path}.${randomUUID()}.part`

/**
 * Never the error of a command: what kept the draft from being written also keeps it from being looked for.
 */
const removeDraft = (draft: string): Promise<void> => rm(draft, { force: true }).catch(() => {})

async function writeDraft(path: string, content: Content): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

function unwritable(path: string, cause: SystemError): PolyVeilError {
  // A file that is to be written need not exist; its directory has to.
  const what = cause.code === 'ENOENT' ? `its directory ${dirname(path)}` : 'it'
  return new PolyVeilError(
    'CONFIG_INVALID',
    `${path} cannot be written: ${what} ${fileTrouble(cause)}`,
    {},
    { cause, remedy: 'Name a place that this user may write to, in a directory that exists.' },
  )
}
