import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../../errors/index.ts'
import { insufficientStorage } from '../../problems/http-error.ts'
import { probeDirectory } from '../../stores/disk-files.ts'
import type { Piece } from '../../stores/key-set-record.ts'
import { Serial } from '../../stores/serial.ts'
import type { StorageHealth } from '../../stores/storage-health.ts'
import { type Marker, openMarkedDirectory } from './marked-directory.ts'
import { writeNewFile } from './pieces.ts'

const MARKER: Marker = { file: 'polyveil-key-cache.json', format: 'polyveil-key-cache-1' }
const RETRY_SECONDS = 10

interface Cached {
  bytes: number
  /** Users that may read the file. */
  holds: number
  /** Whether it goes with the last of them. */
  isDropped: boolean
}

/**
 * Local files of a process, which are copies, in a directory with a limit on their bytes. Those that nobody
 * holds make room for others, the least recently used first.
 */
export class PieceCache {
  /** Most bytes of all files. */
  readonly most: number
  readonly #directory: string
  readonly #health: StorageHealth
  readonly #serial = new Serial()
  /** By file name, the least recently used first. */
  readonly #files = new Map<string, Cached>()
  #bytes = 0

  private constructor(directory: string, most: number, health: StorageHealth) {
    this.#directory = directory
    this.most = most
    this.#health = health
    health.addProbe(() => probeDirectory(directory, undefined, '.probe'))
  }

  /**
   * Opens a directory, and empties it.
   *
   * @param directory of this process alone
   * @throws CONFIG_INVALID when the directory cannot be made or used, or has other files and no marker
   */
  static async open(directory: string, most: number, health: StorageHealth): Promise<PieceCache> {
    await openMarkedDirectory(directory, MARKER)
    const files = (await readdir(directory)).filter((file) => !file.startsWith(MARKER.file))
    await Promise.all(files.map((file) => rm(join(directory, file), { force: true })))
    return new PieceCache(directory, most, health)
  }

  get bytes(): number {
    return this.#bytes
  }

  pathOf(file: string): string {
    return join(this.#directory, file)
  }

  /**
   * Writes a new file, and holds it.
   *
   * @param most bytes that it may have
   * @throws TOO_BUSY when files that are held leave no room; StorageTrouble; errors of `part`
   */
  async add(file: string, most: number, part: AsyncIterable<Uint8Array>): Promise<Omit<Piece, 'tag'>> {
    const cached = { bytes: most, holds: 1, isDropped: false }
    await this.#evict(most)
    this.#files.set(file, cached)
    try {
      const written = await this.#health.guard(() => writeNewFile(this.pathOf(file), part))
      this.#bytes -= most - written.bytes
      cached.bytes = written.bytes
      return written
    } catch (error) {
      await this.#discard(file)
      throw error
    }
  }

  /**
   * Holds a copy of a piece, which is fetched unless it is there.
   *
   * @returns whether it has the length and digest of the piece; if not, it is not held
   */
  hold(file: string, piece: Piece, fetch: () => AsyncIterable<Uint8Array>): Promise<boolean> {
    return this.#serial.run(file, async () => {
      const cached = this.#files.get(file)
      if (cached) {
        cached.holds++
        this.#files.delete(file)
        this.#files.set(file, cached)
        return true
      }
      const { bytes, digest } = await this.add(file, piece.bytes, fetch())
      if (bytes === piece.bytes && digest === piece.digest) return true
      await this.#discard(file)
      return false
    })
  }

  release(file: string): void {
    const cached = this.#files.get(file)
    if (cached === undefined || --cached.holds > 0 || !cached.isDropped) return
    void this.#discard(file)
  }

  /** Removes files whose names begin so; those that are held, when they are released. */
  async drop(beginning: string): Promise<void> {
    for (const [file, cached] of [...this.#files].filter(([each]) => each.startsWith(beginning))) {
      cached.isDropped = true
      if (cached.holds === 0) await this.#discard(file)
    }
  }

  /** The error when there is no room for so many bytes. */
  full(bytes: number): PolyVeilError {
    return bytes > this.most ? tooLarge(bytes, this.most) : full()
  }

  /** Takes room for so many bytes. It counts before anything is awaited. */
  async #evict(bytes: number): Promise<void> {
    const going: string[] = []
    let freed = 0
    for (const [file, cached] of this.#files) {
      if (this.#bytes - freed + bytes <= this.most) break
      if (cached.holds > 0) continue
      going.push(file)
      freed += cached.bytes
    }
    if (this.#bytes - freed + bytes > this.most) throw this.full(bytes)
    this.#bytes += bytes
    await Promise.all(going.map((file) => this.#discard(file)))
  }

  async #discard(file: string): Promise<void> {
    const cached = this.#files.get(file)
    if (cached === undefined) return
    this.#files.delete(file)
    this.#bytes -= cached.bytes
    await rm(this.pathOf(file), { force: true }).catch(() => {})
  }
}

const tooLarge = (bytes: number, mostBytes: number): PolyVeilError =>
  insufficientStorage({
    code: 'TOO_BUSY',
    message: `${bytes} bytes of a key set have no room among the local copies of the server, which are ${mostBytes} at most`,
    facts: { bytes, mostBytes },
    remedy: 'Tell the operator of the server to give the copies of key sets more room.',
  })

const full = (): PolyVeilError =>
  new PolyVeilError('TOO_BUSY', 'The local copies of key sets in use leave no room for another one', {
    retryAfter: RETRY_SECONDS,
  })
