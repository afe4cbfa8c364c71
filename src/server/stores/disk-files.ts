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
/** Files of key sets are named by a SHA-256 in hex. The store never deletes files with other names. */
const OWN = /^[0-9a-f]{64}(\.json|\.json\.new|\.keys)$/
const isOwn = (file: string): boolean => OWN.test(file)

/**
 * Key sets in a directory that a marker file reserves for them: `NAME.json` is the record, `NAME.keys` the
 * bytes. Only the owner can read the files. Files with other names, and directories, stay untouched.
 */
export class DiskFiles implements KeySetFiles {
  readonly #directory: string
  readonly #log: StoreLog

  private constructor(directory: string, log: StoreLog) {
    this.#directory = directory
    this.#log = log
  }

  /**
   * @param log gets each file that is deleted, and files of others
   * @throws CONFIG_INVALID when the directory cannot be made or used, or has other files and no marker
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
    try {
      await writeFile(draft, JSON.stringify(record), { mode: OWNER_ONLY, flush: true })
      await rename(draft, this.#path(name, RECORD))
    } catch (cause) {
      await rm(draft, { force: true })
      throw diskTrouble(cause)
    }
  }

  async write(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#path(name, BYTES)
    const file = await open(path, offset === 0 ? 'w' : 'r+', OWNER_ONLY)
    try {
      const end = await writeAll(file, offset, part)
      await file.truncate(end)
      await file.sync()
      return end - offset
    } catch (cause) {
      // The upload goes on at its offset; what lies behind would take room that nobody counts.
      await file.truncate(offset).catch(() => {})
      throw diskTrouble(cause)
    } finally {
      await file.close()
    }
  }

  async remove(name: string): Promise<void> {
    // The record goes first: if this is interrupted, the next start deletes bytes without a record.
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
   * Reads a record. One that is damaged or lacks its bytes is treated as absent; the client uploads again.
   *
   * @throws CONFIG_INVALID when the disk or the permissions fail, in which case nothing may be deleted
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
  for await (const chunk of part) {
    let rest = chunk
    while (rest.length > 0) {
      const { bytesWritten } = await file.write(rest, 0, rest.length, end)
      rest = rest.subarray(bytesWritten)
      end += bytesWritten
    }
  }
  return end
}

/** The error to throw for a failure of the disk: a full one may have room again. */
function diskTrouble(cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === undefined || !FULL.includes(code)) return cause
  const message = 'The disk is full; no keys can be stored now'
  return new PolyVeilError('TOO_BUSY', message, { retryAfter: 60 }, { cause })
}

const FULL = ['ENOSPC', 'EDQUOT']
