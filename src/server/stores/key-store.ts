import { createHash, randomBytes } from 'node:crypto'
import { PolyVeilError } from '../../errors/index.ts'
import { conflict } from '../problems/http-error.ts'
import type { KeySetFiles, KeySetLocation, KeySetRecord } from './key-set-record.ts'
import { Serial } from './serial.ts'

/** Largest part of an upload in bytes. */
export const PART_BYTES = 16 * 2 ** 20

export interface KeyStoreLimits {
  readonly ttlMilliseconds: number
  readonly maxSets: number
  /** Largest key set. */
  readonly maxSetBytes: number
  /** All key sets together, each counted in full from the moment it is announced. */
  readonly maxTotalBytes: number
}

export type NewKeySet = Pick<KeySetRecord, 'parametersDigest' | 'galoisElements' | 'bytes'>

/** Checks a received key set to its last residue. Its errors about the bytes delete the set; others leave it. */
export type VerifyKeySet = (record: KeySetRecord, location: KeySetLocation) => Promise<{ digest: string }>

/**
 * Key sets by id: uploaded in parts, checked, kept until they expire. An id is an unguessable capability; files go by
 * its hash, so neither the disk nor the log can name a key set to this store.
 */
export class KeyStore {
  readonly #files: KeySetFiles
  readonly #limits: KeyStoreLimits
  readonly #now: () => number
  readonly #records: Map<string, KeySetRecord>
  readonly #serial = new Serial()

  private constructor(
    files: KeySetFiles,
    limits: KeyStoreLimits,
    now: () => number,
    records: Map<string, KeySetRecord>,
  ) {
    this.#files = files
    this.#limits = limits
    this.#now = now
    this.#records = records
  }

  /** Takes over what `files` already holds and removes what has expired. */
  static async open(
    files: KeySetFiles,
    limits: KeyStoreLimits,
    now: () => number = Date.now,
  ): Promise<KeyStore> {
    const store = new KeyStore(files, limits, now, await files.load())
    await store.sweep()
    return store
  }

  get size(): number {
    return this.#records.size
  }

  /** Bytes that the key sets take, or will when they are complete. */
  get reservedBytes(): number {
    return [...this.#records.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /**
   * Announces a key set.
   *
   * @returns its id
   * @throws TOO_LARGE, TOO_BUSY when the store has no room
   */
  async create(keySet: NewKeySet): Promise<{ id: string; record: KeySetRecord }> {
    this.#requireRoom(keySet.bytes)
    const id = randomBytes(32).toString('base64url')
    const record = { ...keySet, uploadOffset: 0, expires: this.#now() + this.#limits.ttlMilliseconds }
    const name = nameOf(id)
    // Counted before it is saved, so that two at a time cannot take the same room.
    this.#records.set(name, record)
    try {
      await this.#files.save(name, record)
    } catch (error) {
      this.#records.delete(name)
      throw error
    }
    return { id, record }
  }

  /** @throws KEYS_EXPIRED when there is no such key set, or not any more */
  get(id: string): KeySetRecord {
    return this.#require(nameOf(id))
  }

  /** @throws KEYS_EXPIRED */
  location(id: string): KeySetLocation {
    this.get(id)
    return this.#files.location(nameOf(id))
  }

  /**
   * Appends a part. When it fails, whatever the reason, the upload stands where it stood before.
   *
   * @throws KEYS_EXPIRED
   * @throws TENSOR_MALFORMED (409) with `uploadOffset`, when the part begins elsewhere than at the server's offset
   * @throws TOO_LARGE when it is longer than `PART_BYTES` or than what is left
   */
  append(id: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<KeySetRecord> {
    const name = nameOf(id)
    return this.#serial.run(name, async () => {
      const record = this.#require(name)
      if (offset !== record.uploadOffset) throw wrongOffset(offset, record.uploadOffset)
      const room = Math.min(PART_BYTES, record.bytes - offset)
      const written = await this.#files.write(name, offset, atMost(room, part))
      return this.#update(name, { ...record, uploadOffset: offset + written })
    })
  }

  /**
   * Has a wholly received key set checked, once; a bad one is deleted.
   *
   * @throws whatever `verify` throws
   */
  complete(id: string, verify: VerifyKeySet): Promise<KeySetRecord> {
    const name = nameOf(id)
    return this.#serial.run(name, async () => {
      const record = this.#require(name)
      if (record.digest !== undefined) return record
      try {
        const { digest } = await verify(record, this.#files.location(name))
        return await this.#update(name, { ...record, digest })
      } catch (error) {
        if (isBad(error)) await this.#remove(name)
        throw error
      }
    })
  }

  /** @throws KEYS_EXPIRED */
  delete(id: string): Promise<void> {
    const name = nameOf(id)
    return this.#serial.run(name, async () => {
      this.#require(name)
      await this.#remove(name)
    })
  }

  /** Removes key sets that have expired. */
  async sweep(): Promise<void> {
    const expired = [...this.#records].filter(([, { expires }]) => expires <= this.#now())
    await Promise.all(expired.map(([name]) => this.#serial.run(name, () => this.#remove(name))))
  }

  #require(name: string): KeySetRecord {
    const record = this.#records.get(name)
    if (record && record.expires > this.#now()) return record
    throw new PolyVeilError('KEYS_EXPIRED', 'There is no such key set; it has expired or was deleted')
  }

  #requireRoom(bytes: number): void {
    const { maxSets, maxSetBytes, maxTotalBytes } = this.#limits
    if (bytes > maxSetBytes) {
      throw new PolyVeilError('TOO_LARGE', `A key set of ${bytes} bytes is larger than ${maxSetBytes}`, {
        bytes,
        maxBytes: maxSetBytes,
      })
    }
    if (this.size < maxSets && this.reservedBytes + bytes <= maxTotalBytes) return
    throw new PolyVeilError('TOO_BUSY', 'The server holds as many key sets as it can', { retryAfter: 60 })
  }

  async #update(name: string, record: KeySetRecord): Promise<KeySetRecord> {
    await this.#files.save(name, record)
    this.#records.set(name, record)
    return record
  }

  async #remove(name: string): Promise<void> {
    this.#records.delete(name)
    await this.#files.remove(name)
  }
}

/** Name of a key set in files, logs and caches: it identifies the set but is not good for asking for it. */
export const nameOf = (id: string): string => createHash('sha256').update(id).digest('hex')

async function* atMost(room: number, part: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of part) {
    bytes += chunk.length
    if (bytes > room) {
      throw new PolyVeilError('TOO_LARGE', `The part is longer than the ${room} bytes that belong here`, {
        maxBytes: room,
      })
    }
    yield chunk
  }
}

const wrongOffset = (offset: number, uploadOffset: number): PolyVeilError =>
  conflict('TENSOR_MALFORMED', `The part begins at ${offset}; go on at ${uploadOffset}`, { uploadOffset })

const isBad = (error: unknown): boolean =>
  error instanceof PolyVeilError &&
  ['TENSOR_MALFORMED', 'PARAMETERS_MISMATCH', 'TOO_LARGE'].includes(error.code)
