import { open } from 'node:fs/promises'
import { PolyVeilError } from '../../errors/index.ts'
import { unreadable } from './errors.ts'

/** Larger than any checkpoint of the family, and what one Buffer can hold everywhere. */
export const MAX_FILE_BYTES = 2 ** 31 - 1

/** For `open(path).catch(openFailed)`. @throws CHECKPOINT_UNREADABLE with the system's code, such as ENOENT */
export function openFailed(cause: NodeJS.ErrnoException): never {
  throw unreadable(`the file cannot be opened (${cause.code})`, {}, cause)
}

/**
 * Reads a whole file.
 *
 * @throws TOO_LARGE above `MAX_FILE_BYTES`; CHECKPOINT_UNREADABLE when it cannot be opened or read
 */
export async function readBounded(path: string | URL): Promise<Uint8Array> {
  const file = await open(path).catch(openFailed)
  try {
    const { size } = await file.stat()
    if (size > MAX_FILE_BYTES) {
      throw new PolyVeilError('TOO_LARGE', `The checkpoint has ${size} bytes, more than ${MAX_FILE_BYTES}`, {
        bytes: size,
        limit: MAX_FILE_BYTES,
      })
    }
    return await file.readFile()
  } catch (cause) {
    if (cause instanceof PolyVeilError) throw cause
    throw unreadable('the file cannot be read', {}, cause)
  } finally {
    await file.close()
  }
}
