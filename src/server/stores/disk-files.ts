import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import {
  type KeySetFiles,
  type KeySetLocation,
  type KeySetRecord,
  keySetRecordSchema,
} from './key-set-record.ts'
import { openOwnDirectory, ownFiles } from './own-directory.ts'
import { loggedName, NO_LOG, type StoreLog } from './store-log.ts'

const RECORD = '.json'
const DRAFT = '.json.new'
const BYTES = '.keys'
const OWNER_ONLY = 0o600
/** Key sets go by a SHA-256 in hex. Files of any other name are not the store's, and never deleted. */
const OWN = /^[0-9a-f]{64}(\.json|\.json\.new|\.keys)$/
const isOwn = (file: string): boolean => OWN.test(file)

/**
 * Key sets in a directory of its own, which a file marks: `NAME.json` is the record, `NAME.keys` the bytes.
 * Readable by the owner alone. What has another name than these, and every directory, is left alone.
 */
export class DiskFiles implements KeySetFiles {
  readonly #directory: string
  readonly #log: StoreLog

  private constructor(directory: string, log: StoreLog) {
    this.#directory = directory
    this.#log = log
  }

  /**
   * @param log told of each file that is deleted, and of files that are not the store's
   * @throws CONFIG_INVALID when the directory cannot be made or used, or holds something else and is not
   *   marked
   */
  static async open(directory: string, log: StoreLog = NO_LOG): Promise<DiskFiles> {
    const store = new DiskFiles(directory, log)
    await openOwnDirectory(directory, isOwn, (files) => store.#hasRecords(files), log)
    return store
  }

  /** Whether the files are key sets of an older version: there are records, and each can be read. */
  async #hasRecords(files: readonly string[]): Promise<boolean> {
    const texts = await Promise.all(
      files
        .filter((name) => name.endsWith(RECORD))
        .map((name) => readFile(join(this.#directory, name), 'utf8').catch(unreadable(name))),
    )
    return texts.length > 0 && texts.every((text) => parsed(text) !== undefined)
  }

  async load(): Promise<Map<string, KeySetRecord>> {
    const files = await ownFiles(this.#directory, isOwn, this.#log)
    const records = new Map<string, KeySetRecord>()
    for (const file of files.filter((name) => name.endsWith(RECORD))) {
      const record = await this.#read(file)
      if (record) records.set(file.slice(0, -RECORD.length), record)
    }
    const kept = new Set([...records.keys()].flatMap((name) => [name + RECORD, name + BYTES]))
    for (const file of files.filter((each) => !kept.has(each))) {
      await rm(join(this.#directory, file), { force: true })
      const reason = file.endsWith(BYTES) ? 'bytes without a record' : 'a damaged or unfinished record'
      this.#log.info({ keySet: loggedName(file), file: ending(file), reason }, 'Deleted a file of a key set')
    }
    return records
  }

  async save(name: string, record: KeySetRecord): Promise<void> {
    const draft = this.#path(name, DRAFT)
    await writeFile(draft, JSON.stringify(record), { mode: OWNER_ONLY, flush: true })
    await rename(draft, this.#path(name, RECORD))
  }

  async write(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#path(name, BYTES)
    const file = await open(path, offset === 0 ? 'w' : 'r+', OWNER_ONLY)
    try {
      const end = await writeAll(file, offset, part)
      await file.truncate(end)
      await file.sync()
      return end - offset
    } finally {
      await file.close()
    }
  }

  async remove(name: string): Promise<void> {
    // The record first: bytes without one are thrown away at the next start, should this be interrupted.
    await rm(this.#path(name, RECORD), { force: true })
    await rm(this.#path(name, BYTES), { force: true })
  }

  location(name: string): KeySetLocation {
    return { path: this.#path(name, BYTES) }
  }

  #path(name: string, ending: string): string {
    return join(this.#directory, name + ending)
  }

  /**
   * A record that is damaged, or lacks its bytes, is as good as none; the client uploads again.
   *
   * @throws CONFIG_INVALID when the disk or the rights fail: that is no reason to delete anything
   */
  async #read(file: string): Promise<KeySetRecord | undefined> {
    const text = await readFile(join(this.#directory, file), 'utf8').catch(unreadable(file))
    const record = parsed(text)
    if (record === undefined || record.uploadOffset === 0) return record
    const bytes = file.slice(0, -RECORD.length) + BYTES
    const size = await stat(join(this.#directory, bytes)).then(
      (found) => found.size,
      (error) => (error.code === 'ENOENT' ? 0 : unreadable(bytes)(error)),
    )
    return size >= record.uploadOffset ? record : undefined
  }
}

const ending = (file: string): string => file.slice(file.indexOf('.'))

function parsed(text: string): KeySetRecord | undefined {
  try {
    return keySetRecordSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

const unreadable =
  (file: string) =>
  (cause: NodeJS.ErrnoException): never => {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `A file of the data directory cannot be read (${cause.code}): ${file}`,
      { file },
      { cause },
    )
  }

async function writeAll(file: FileHandle, offset: number, part: AsyncIterable<Uint8Array>): Promise<number> {
  let end = offset
  try {
    for await (const chunk of part) {
      let rest = chunk
      while (rest.length > 0) {
        const { bytesWritten } = await file.write(rest, 0, rest.length, end)
        rest = rest.subarray(bytesWritten)
        end += bytesWritten
      }
    }
    return end
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause
    throw new PolyVeilError(
      'TOO_BUSY',
      'The disk is full; no keys can be stored now',
      { retryAfter: 60 },
      { cause },
    )
  }
}
