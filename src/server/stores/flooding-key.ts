import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { addFile, makeDirectory, readIfPresent, removeAbandoned } from '../../files/atomic.ts'
import { FLOODING_KEY_BYTES, newFloodingKey } from '../../he-ops/flooding.ts'

export const FLOODING_KEY_FILE = 'flooding.key'

/**
 * The service's secret key for the flooding noise of answers. The first start makes it, and it stays: under
 * another key a repeated query would get other noise.
 *
 * @param directory the data directory of the service; made when it does not exist
 * @throws CONFIG_INVALID when the file cannot be read or written, or has another length
 */
export async function loadFloodingKey(directory: string): Promise<Uint8Array> {
  const path = join(directory, FLOODING_KEY_FILE)
  try {
    await makeDirectory(directory)
    await removeAbandoned(directory, (name) => name === FLOODING_KEY_FILE)
    // When two services start at once, the second takes the key of the first.
    const key =
      (await readIfPresent(directory, FLOODING_KEY_FILE)) ??
      (await addFile(directory, FLOODING_KEY_FILE, newFloodingKey()))
    if (key.length === FLOODING_KEY_BYTES) return key
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === undefined) throw cause
    throw new PolyVeilError('CONFIG_INVALID', `The flooding key ${path} cannot be read or made (${code})`, {
      path,
    })
  }
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `${path} is not the flooding key that the service has written: it must have ${FLOODING_KEY_BYTES} bytes. Restore it ` +
      'from a backup; or delete it, and a new one is made',
    { path },
  )
}
