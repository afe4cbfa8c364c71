import { type FileHandle, open } from 'node:fs/promises'
import { isSystemError, PolyVeilError, refusedFile } from '../../errors/index.ts'
import { unreadable } from './errors.ts'

/** Larger than any checkpoint of the family, and what one Buffer can hold everywhere. */
const MAX_FILE_BYTES = 2 ** 31 - 1

/** @throws as `withCheckpointFile` */
export const readWhole = (path: string | URL): Promise<Uint8Array> =>
  withCheckpointFile(path, (file) => file.readFile())

/** The first `length` bytes, or all when there are fewer. @throws as `withCheckpointFile` */
export const readStart = (path: string | URL, length: number): Promise<Uint8Array> =>
  withCheckpointFile(path, async (file) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
    return buffer.subarray(0, bytesRead)
  })

/**
 * @throws TOO_LARGE from 2 GiB on; CHECKPOINT_UNREADABLE for a pipe or a device, which has no size to check,
 *   and with the system's code when opening or reading fails
 */
async function withCheckpointFile<T>(path: string | URL, body: (file: FileHandle) => Promise<T>): Promise<T> {
  try {
    await using file = await open(path)
    const stat = await file.stat()
    if (stat.size > MAX_FILE_BYTES) throw tooLarge(stat.size)
    if (!stat.isFile() && !stat.isDirectory()) throw noFile(path)
    return await body(file)
  } catch (cause) {
    if (cause instanceof PolyVeilError) throw cause
    if (!isSystemError(cause)) throw unreadable('the file cannot be read', {}, cause)
    throw refusedFile({ name: `The checkpoint ${path}`, code: 'CHECKPOINT_UNREADABLE' }, cause)
  }
}

const noFile = (path: string | URL): PolyVeilError =>
  unreadable(`${path} is a pipe or a device; save the checkpoint to a file first`)

const tooLarge = (bytes: number): PolyVeilError =>
  new PolyVeilError(
    'TOO_LARGE',
    `The checkpoint has ${bytes} bytes, more than ${MAX_FILE_BYTES}`,
    { bytes, limit: MAX_FILE_BYTES },
    { remedy: 'Save the state dict alone, without optimizer state.' },
  )
