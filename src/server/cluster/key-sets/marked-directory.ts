import { readdir } from 'node:fs/promises'
import { PolyVeilError } from '../../../errors/index.ts'
import { addFile, makeDirectory, readIfPresent } from '../../../files/atomic.ts'

/** A file that marks a directory as this service's own. Without it nothing may be deleted there. */
export interface Marker {
  readonly file: string
  readonly format: string
}

/**
 * Makes and marks a directory, which several processes may do at once, or opens one that is marked.
 *
 * @throws CONFIG_INVALID when it cannot be made or used, or has other files and no marker
 */
export async function openMarkedDirectory(directory: string, marker: Marker): Promise<void> {
  try {
    await makeDirectory(directory)
    await requireOwn(directory, marker)
  } catch (cause) {
    if (cause instanceof PolyVeilError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    const message = `The directory ${directory} for key sets cannot be made, read or written (${code})`
    throw new PolyVeilError('CONFIG_INVALID', message, { directory }, { cause })
  }
}

async function requireOwn(directory: string, { file, format }: Marker): Promise<void> {
  const text = `${JSON.stringify({ format })}\n`
  const entries = await readdir(directory)
  const isNew = entries.every((name) => name.startsWith(file)) && !entries.includes(file)
  const found = isNew
    ? await addFile(directory, file, new TextEncoder().encode(text))
    : await readIfPresent(directory, file)
  if (found === undefined || new TextDecoder().decode(found) !== text) throw notOurs(directory)
}

const notOurs = (directory: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The directory ${directory} for key sets holds other things, or those of another version. Nothing was changed`,
    { directory },
    { remedy: 'Choose another directory, which is empty at first.' },
  )
