import { createHash, type Hash, randomBytes } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { PolyVeilError } from '../../../errors/index.ts'
import { MAX_PART_BYTES } from '../../../wire/protocol/index.ts'
import { writeAll } from '../../stores/disk-files.ts'
import type { Piece } from '../../stores/key-set-record.ts'

const OWNER_ONLY = 0o600
const TAG_BYTES = 8

export const newTag = (): string => randomBytes(TAG_BYTES).toString('hex')

/**
 * Most pieces of a set, since each use reads the list of them. These are 5 GB in the smallest parts that
 * clients send.
 */
const MOST_PIECES = 20_000

/** @throws TOO_LARGE when a set has as many pieces as it may */
export function requireFewPieces(pieces: readonly Piece[]): void {
  if (pieces.length < MOST_PIECES) return
  throw new PolyVeilError(
    'TOO_LARGE',
    `The key set has come in ${MOST_PIECES} parts, as many as it may`,
    { maxParts: MOST_PIECES },
    { remedy: `Delete it, and upload it in parts of ${MAX_PART_BYTES} bytes.` },
  )
}

/** Name of a piece among those of its set. */
export const fileOf = ({ offset, tag }: { readonly offset: number; readonly tag: string }): string =>
  `${offset}-${tag}`

/** Pieces with the offsets at which they begin. */
export function placed(pieces: readonly Piece[]): (Piece & { readonly offset: number })[] {
  let offset = 0
  return pieces.map((piece) => {
    const at = { ...piece, offset }
    offset += piece.bytes
    return at
  })
}

/** Writes a new file, durably. A failure leaves none. @returns its length, and its SHA-256 in hex */
export async function writeNewFile(
  path: string,
  part: AsyncIterable<Uint8Array>,
): Promise<Omit<Piece, 'tag'>> {
  const hash = createHash('sha256')
  const file = await open(path, 'wx', OWNER_ONLY)
  try {
    const bytes = await writeAll(file, 0, hashed(part, hash))
    await file.sync()
    return { bytes, digest: hash.digest('hex') }
  } catch (error) {
    await rm(path, { force: true }).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
}

async function* hashed(part: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of part) {
    hash.update(chunk)
    yield chunk
  }
}
