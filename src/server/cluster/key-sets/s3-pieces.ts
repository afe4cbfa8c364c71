import { MAX_PART_BYTES } from '../../../wire/protocol/index.ts'
import { S3Objects, type S3Options } from '../../s3/s3-objects.ts'
import type { KeptLocation, KeySetBytes, Received } from '../../stores/key-set-bytes.ts'
import { damagedKeySet } from '../../stores/key-set-errors.ts'
import type { KeySetRecord } from '../../stores/key-set-record.ts'
import type { StorageHealth } from '../../stores/storage-health.ts'
import { PieceCache } from './piece-cache.ts'
import { fileOf, newTag, placed, requireFewPieces } from './pieces.ts'

export interface S3PiecesOptions extends S3Options {
  /** A local directory of this process alone, for copies. */
  readonly cacheDirectory: string
  /** Most bytes of these. A key set that is used, or that is checked, must have room as a whole. */
  readonly cacheBytes: number
  readonly health: StorageHealth
}

/** Pieces of one set that are read at once. */
const DOWNLOADS = 4

/**
 * Bytes of key sets in a service that is compatible with S3. Each accepted part is an object of its own,
 * `NAME/OFFSET-TAG`, which never changes. A part is written to a local file first, so that it is never in
 * memory as a whole, and the file stays as a copy for whoever uses the set on this machine.
 */
export class S3Pieces implements KeySetBytes {
  readonly #objects: S3Objects
  readonly #cache: PieceCache

  private constructor(objects: S3Objects, cache: PieceCache) {
    this.#objects = objects
    this.#cache = cache
  }

  /** @throws CONFIG_INVALID as `S3Objects.open`, or when the cache directory cannot be used */
  static async open({ cacheDirectory, cacheBytes, health, ...s3 }: S3PiecesOptions): Promise<S3Pieces> {
    const cache = await PieceCache.open(cacheDirectory, cacheBytes, health)
    return new S3Pieces(await S3Objects.open(s3, { name: 'key sets', missing: damagedKeySet }), cache)
  }

  async write(name: string, record: KeySetRecord, part: AsyncIterable<Uint8Array>): Promise<Received> {
    const { uploadOffset: offset, pieces = [] } = record
    requireFewPieces(pieces)
    const tag = newTag()
    const file = fileOf({ offset, tag })
    const copy = copyOf(name, file)
    const most = Math.min(MAX_PART_BYTES, record.bytes - offset)
    const { bytes, digest } = await this.#cache.add(copy, most, part)
    let isStored = false
    try {
      if (bytes === 0) return { uploadOffset: offset, pieces }
      await this.#objects.put(keyOf(name, file), this.#cache.pathOf(copy), bytes, digest)
      isStored = true
      return { uploadOffset: offset + bytes, pieces: [...pieces, { tag, bytes, digest }] }
    } finally {
      this.#cache.release(copy)
      if (!isStored) await this.#cache.drop(copy)
    }
  }

  /**
   * Removes the objects that the record of a complete set does not name. Those of an incomplete set stay:
   * when the answer of the index was lost, its record may name them, or another process may be writing them.
   */
  async cut(name: string, { digest, pieces = [] }: KeySetRecord): Promise<void> {
    if (digest === undefined) return
    const named = new Set(placed(pieces).map((piece) => keyOf(name, fileOf(piece))))
    try {
      const keys = await this.#objects.keys(keyOf(name, ''))
      await this.#objects.remove(keys.filter((key) => !named.has(key)))
    } catch {
      // They go with the set.
    }
  }

  async remove(name: string): Promise<void> {
    await this.#objects.remove(await this.#objects.keys(keyOf(name, '')))
    await this.drop(name)
  }

  /** Removes the local copies of a set, which another process has removed. */
  async drop(name: string): Promise<void> {
    await this.#cache.drop(copyOf(name, ''))
  }

  /**
   * Copies the set to local files, as far as it is not there, and checks what it copies. They stay until the
   * answer is disposed of.
   *
   * @throws TOO_BUSY (507 when the set is larger than the cache); KEYS_EXPIRED with `isDamaged` when an
   *   object is gone, or is not what was written
   */
  async location(name: string, { pieces = [], uploadOffset }: KeySetRecord): Promise<KeptLocation> {
    if (uploadOffset > this.#cache.most) throw this.#cache.full(uploadOffset)
    const held: string[] = []
    const release = (): void => {
      for (const copy of held.splice(0)) this.#cache.release(copy)
    }
    const waiting = placed(pieces)
    const files = waiting.map((piece) => ({
      path: this.#cache.pathOf(copyOf(name, fileOf(piece))),
      bytes: piece.bytes,
    }))
    const download = async (): Promise<void> => {
      for (let piece = waiting.shift(); piece !== undefined; piece = waiting.shift()) {
        const file = fileOf(piece)
        const copy = copyOf(name, file)
        const isGood = await this.#cache.hold(copy, piece, () => this.#objects.get(keyOf(name, file)))
        if (!isGood) throw damagedKeySet()
        held.push(copy)
      }
    }
    const outcomes = await Promise.allSettled(Array.from({ length: DOWNLOADS }, download))
    const failure = outcomes.find(({ status }) => status === 'rejected')
    if (failure === undefined) return { location: { pieces: files }, [Symbol.dispose]: release }
    release()
    throw (failure as PromiseRejectedResult).reason
  }
}

const keyOf = (name: string, file: string): string => `${name}/${file}`

const copyOf = (name: string, file: string): string => `${name}-${file}`
