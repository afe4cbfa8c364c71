import { createHash, type Hash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../../errors/index.ts'
import { addFile, makeDirectory, readIfPresent } from '../../../files/atomic.ts'
import { probeDirectory, writeAll } from '../../stores/disk-files.ts'
import { synchronised } from '../../stores/kept-copy.ts'
import { type KeptLocation, type KeySetBytes, kept, type Received } from '../../stores/key-set-bytes.ts'
import { noSuchKeySet } from '../../stores/key-set-errors.ts'
import type { KeySetRecord, Piece } from '../../stores/key-set-record.ts'
import type { StorageHealth } from '../../stores/storage-health.ts'

/** The file that marks a directory as one of pieces. Without it nothing may be deleted there. */
const MARKER = 'polyveil-key-pieces.json'
const MARK = '{"format":"polyveil-key-pieces-1"}\n'
const OWNER_ONLY = 0o600
const TAG_BYTES = 8

/**
 * Bytes of key sets in a directory that several processes share. Each accepted part is a file of its own,
 * `NAME/OFFSET-TAG`, which never changes: a process that has lost its turn writes to a file that no record
 * names, and not into the bytes of another one. Only the owner can read the files.
 *
 * Files that no record names, of parts that broke off with their process, go when the set is complete or
 * removed.
 */
export class PieceFiles implements KeySetBytes {
  readonly #directory: string
  readonly #health: StorageHealth

  private constructor(directory: string, health: StorageHealth) {
    this.#directory = directory
    this.#health = health
    const probe = `.probe-${randomBytes(TAG_BYTES).toString('hex')}`
    health.addProbe(() => probeDirectory(directory, undefined, probe))
  }

  /** @throws CONFIG_INVALID when the directory cannot be made or used, or has other files and no marker */
  static async open(directory: string, health: StorageHealth): Promise<PieceFiles> {
    try {
      await makeDirectory(directory)
      await requireOwn(directory)
    } catch (cause) {
      if (cause instanceof PolyVeilError) throw cause
      const { code } = cause as NodeJS.ErrnoException
      const message = `The directory ${directory} for key sets cannot be made, read or written (${code})`
      throw new PolyVeilError('CONFIG_INVALID', message, { directory }, { cause })
    }
    return new PieceFiles(directory, health)
  }

  async write(name: string, record: KeySetRecord, part: AsyncIterable<Uint8Array>): Promise<Received> {
    const { uploadOffset, pieces = [] } = record
    const piece = await this.writePiece(name, uploadOffset, part)
    if (piece === undefined) return { uploadOffset, pieces }
    return { uploadOffset: uploadOffset + piece.bytes, pieces: [...pieces, piece] }
  }

  /** @returns undefined for an empty part, which leaves no file */
  writePiece(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<Piece | undefined> {
    const tag = randomBytes(TAG_BYTES).toString('hex')
    return this.#health.guard(async () => {
      const directory = join(this.#directory, name)
      if (offset === 0) await mkdir(directory, { recursive: true, mode: 0o700 })
      const path = this.pathOf(name, offset, tag)
      const hash = createHash('sha256')
      try {
        const bytes = await writeFile(path, part, hash)
        if (bytes > 0) {
          await synchronised(directory)
          return { tag, bytes, digest: hash.digest('hex') }
        }
      } catch (cause) {
        await rm(path, { force: true }).catch(() => {})
        throw (cause as NodeJS.ErrnoException).code === 'ENOENT' ? noSuchKeySet(cause) : cause
      }
      await rm(path, { force: true })
      return undefined
    })
  }

  /**
   * Removes the files that the record of a complete set does not name. Those of an incomplete set stay: when
   * the answer of the index was lost, its record may name them, or another process may be writing them.
   */
  async cut(name: string, { digest, pieces = [] }: KeySetRecord): Promise<void> {
    if (digest === undefined) return
    const named = new Set(placed(pieces).map(({ offset, tag }) => fileOf(offset, tag)))
    const files = await readdir(join(this.#directory, name)).catch(() => [])
    const others = files.filter((file) => !named.has(file))
    await Promise.all(
      others.map((file) => rm(join(this.#directory, name, file), { force: true }).catch(() => {})),
    )
  }

  async remove(name: string): Promise<void> {
    await this.#health.guard(() => rm(join(this.#directory, name), { recursive: true, force: true }))
  }

  async location(name: string, { pieces = [] }: KeySetRecord): Promise<KeptLocation> {
    return kept({
      pieces: placed(pieces).map(({ offset, tag, bytes }) => ({
        path: this.pathOf(name, offset, tag),
        bytes,
      })),
    })
  }

  pathOf(name: string, offset: number, tag: string): string {
    return join(this.#directory, name, fileOf(offset, tag))
  }
}

/** Name of a piece among those of its set. */
export const fileOf = (offset: number, tag: string): string => `${offset}-${tag}`

/** Pieces with the offsets at which they begin. */
export function placed(pieces: readonly Piece[]): (Piece & { readonly offset: number })[] {
  let offset = 0
  return pieces.map((piece) => {
    const at = { ...piece, offset }
    offset += piece.bytes
    return at
  })
}

/** Writes a new file, durably. @param hash gets all bytes @returns its length */
async function writeFile(path: string, part: AsyncIterable<Uint8Array>, hash: Hash): Promise<number> {
  const file = await open(path, 'wx', OWNER_ONLY)
  try {
    const end = await writeAll(file, 0, hashed(part, hash))
    await file.sync()
    return end
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

/** Marks a new directory, which several processes may do at once. */
async function requireOwn(directory: string): Promise<void> {
  const entries = await readdir(directory)
  const isNew = entries.every((name) => name.startsWith(MARKER)) && !entries.includes(MARKER)
  const mark = isNew
    ? await addFile(directory, MARKER, new TextEncoder().encode(MARK))
    : await readIfPresent(directory, MARKER)
  if (mark === undefined || new TextDecoder().decode(mark) !== MARK) throw notOurs(directory)
}

const notOurs = (directory: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The directory ${directory} holds other things than key sets that several servers share. Nothing was changed`,
    { directory },
    { remedy: 'Choose another directory, which is empty at first.' },
  )
