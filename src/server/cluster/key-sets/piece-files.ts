import { mkdir, opendir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { probeDirectory } from '../../stores/disk-files.ts'
import { synchronised } from '../../stores/kept-copy.ts'
import { type KeptLocation, type KeySetBytes, kept, type Received } from '../../stores/key-set-bytes.ts'
import { noSuchKeySet } from '../../stores/key-set-errors.ts'
import { KEY_SET_NAME, type KeySetRecord } from '../../stores/key-set-record.ts'
import type { StorageHealth } from '../../stores/storage-health.ts'
import { type Marker, openMarkedDirectory } from './marked-directory.ts'
import { fileOf, newTag, placed, requireFewPieces, writeNewFile } from './pieces.ts'

const MARKER: Marker = { file: 'polyveil-key-pieces.json', format: 'polyveil-key-pieces-1' }

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
    const probe = `.probe-${newTag()}`
    health.addProbe(() => probeDirectory(directory, undefined, probe))
  }

  /** @throws CONFIG_INVALID when the directory cannot be made or used, or has other files and no marker */
  static async open(directory: string, health: StorageHealth): Promise<PieceFiles> {
    await openMarkedDirectory(directory, MARKER)
    return new PieceFiles(directory, health)
  }

  async write(name: string, record: KeySetRecord, part: AsyncIterable<Uint8Array>): Promise<Received> {
    const { uploadOffset: offset, pieces = [] } = record
    requireFewPieces(pieces)
    const tag = newTag()
    const directory = this.#directoryOf(name)
    const path = join(directory, fileOf({ offset, tag }))
    return this.#health.guard(async () => {
      if (offset === 0) await mkdir(directory, { recursive: true, mode: 0o700 })
      const { bytes, digest } = await writeNewFile(path, part).catch(expiredIfGone)
      if (bytes === 0) {
        await rm(path, { force: true })
        return { uploadOffset: offset, pieces }
      }
      await synchronised(directory)
      return { uploadOffset: offset + bytes, pieces: [...pieces, { tag, bytes, digest }] }
    })
  }

  /**
   * Removes the files that the record of a complete set does not name. Those of an incomplete set stay: when
   * the answer of the index was lost, its record may name them, or another process may be writing them.
   */
  async cut(name: string, { digest, pieces = [] }: KeySetRecord): Promise<void> {
    if (digest === undefined) return
    const directory = this.#directoryOf(name)
    const named = new Set(placed(pieces).map(fileOf))
    const files = await readdir(directory).catch(() => [])
    const others = files.filter((file) => !named.has(file))
    await Promise.all(others.map((file) => rm(join(directory, file), { force: true }).catch(() => {})))
  }

  async remove(name: string): Promise<void> {
    await this.#health.guard(() => rm(this.#directoryOf(name), { recursive: true, force: true }))
  }

  async location(name: string, { pieces = [] }: KeySetRecord): Promise<KeptLocation> {
    const directory = this.#directoryOf(name)
    const files = placed(pieces).map((piece) => ({
      path: join(directory, fileOf(piece)),
      bytes: piece.bytes,
    }))
    return kept({ pieces: files })
  }

  /** Names of sets whose files have not changed since a time, in milliseconds since 1970. */
  async *unchangedSince(time: number): AsyncGenerator<string> {
    for await (const entry of await opendir(this.#directory)) {
      if (!entry.isDirectory() || !KEY_SET_NAME.test(entry.name)) continue
      const found = await stat(this.#directoryOf(entry.name)).catch(() => undefined)
      if (found !== undefined && found.mtimeMs < time) yield entry.name
    }
  }

  #directoryOf(name: string): string {
    return join(this.#directory, name)
  }
}

/** The directory of a set goes with it. */
function expiredIfGone(cause: NodeJS.ErrnoException): never {
  throw cause.code === 'ENOENT' ? noSuchKeySet(cause) : cause
}
