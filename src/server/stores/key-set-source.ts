import { type FileHandle, open } from 'node:fs/promises'
import { PolyVeilError } from '../../errors/index.ts'
import { type ByteSource, bytesSource } from '../../wire/index.ts'
import type { KeySetLocation } from './key-set-record.ts'
import { publicTrouble } from './storage-trouble.ts'

/**
 * Runs `body` with a source that reads a stored key set in place.
 *
 * @throws KEYS_EXPIRED when the file is gone
 */
export async function withKeySet<T>(
  location: KeySetLocation,
  body: (source: ByteSource) => Promise<T>,
): Promise<T> {
  if ('bytes' in location) return body(bytesSource(location.bytes))
  if ('pieces' in location) return withPieces(location.pieces, body)
  const file = await openKeys(location.path)
  try {
    return await body(await fileSource(file))
  } finally {
    await file.close()
  }
}

/**
 * Runs `body` with a key set that passed its check when it was completed; it is not hashed again on each
 * load. The store does not write to it any more, and only the service can access its files. A fault of the
 * disk is still found where it makes a residue exceed its prime. Otherwise it spoils only the results of the
 * client that owns the keys, which decrypt to noise.
 *
 * @throws KEYS_EXPIRED when the file is gone
 */
export const withCheckedKeySet = <T>(
  location: KeySetLocation,
  body: (source: ByteSource) => Promise<T>,
): Promise<T> => withKeySet(location, (source) => body({ ...source, verified: true }))

type Pieces = Extract<KeySetLocation, { pieces: unknown }>['pieces']

/** Runs `body` with a source that reads files one behind the other. Each is opened when it is first read. */
async function withPieces<T>(pieces: Pieces, body: (source: ByteSource) => Promise<T>): Promise<T> {
  const files = new Map<string, Promise<FileHandle>>()
  const open = (path: string): Promise<FileHandle> => {
    const file = files.get(path) ?? openKeys(path)
    files.set(path, file)
    return file
  }
  const size = pieces.reduce((sum, { bytes }) => sum + bytes, 0)
  const read = async (offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
    let start = 0
    let filled = 0
    for (const piece of pieces) {
      const from = Math.max(0, offset - start)
      const most = Math.min(piece.bytes - from, bytes.length - filled)
      if (most > 0)
        filled += await readInto(await open(piece.path), bytes.subarray(filled, filled + most), from)
      start += piece.bytes
    }
    return bytes.subarray(0, filled)
  }
  try {
    return await body({ size, read })
  } finally {
    for (const file of files.values()) await file.then((each) => each.close()).catch(() => {})
  }
}

async function fileSource(file: FileHandle): Promise<ByteSource> {
  const { size } = await file.stat()
  return {
    size,
    async read(offset, length) {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
      return bytes.subarray(0, await readInto(file, bytes, offset))
    },
  }
}

/** Fills `bytes` from a file, as far as it reaches. @returns the number of bytes read */
async function readInto(file: FileHandle, bytes: Uint8Array, offset: number): Promise<number> {
  let filled = 0
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

async function openKeys(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw publicTrouble(cause)
    throw new PolyVeilError('KEYS_EXPIRED', 'The key set was deleted meanwhile', {}, { cause })
  }
}
