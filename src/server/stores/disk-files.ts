import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import {
  type KeySetFiles,
  type KeySetLocation,
  type KeySetRecord,
  keySetRecordSchema,
} from './key-set-record.ts'

const RECORD = '.json'
const BYTES = '.keys'
const OWNER_ONLY = 0o600

/** Key sets in a directory: `NAME.json` is the record, `NAME.keys` the bytes. Readable by the owner alone. */
export class DiskFiles implements KeySetFiles {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** @throws CONFIG_INVALID when the directory cannot be made */
  static async open(directory: string): Promise<DiskFiles> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
    } catch (cause) {
      throw new PolyVeilError(
        'CONFIG_INVALID',
        'The data directory cannot be made; check dataDir',
        {},
        { cause },
      )
    }
    return new DiskFiles(directory)
  }

  async load(): Promise<Map<string, KeySetRecord>> {
    const files = await readdir(this.#directory)
    const records = new Map<string, KeySetRecord>()
    for (const file of files.filter((name) => name.endsWith(RECORD))) {
      const record = await this.#read(file)
      if (record) records.set(file.slice(0, -RECORD.length), record)
    }
    const kept = new Set([...records.keys()].flatMap((name) => [name + RECORD, name + BYTES]))
    const rubbish = files.filter((file) => !kept.has(file))
    await Promise.all(
      rubbish.map((file) => rm(join(this.#directory, file), { force: true, recursive: true })),
    )
    return records
  }

  async save(name: string, record: KeySetRecord): Promise<void> {
    const path = this.#path(name, RECORD)
    const draft = `${path}.new`
    await writeFile(draft, JSON.stringify(record), { mode: OWNER_ONLY, flush: true })
    await rename(draft, path)
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

  /** A record that cannot be read, or lacks its bytes, is as good as none; the client uploads again. */
  async #read(file: string): Promise<KeySetRecord | undefined> {
    try {
      const path = join(this.#directory, file)
      const record = keySetRecordSchema.parse(JSON.parse(await readFile(path, 'utf8')))
      if (record.uploadOffset === 0) return record
      const { size } = await stat(this.#path(file.slice(0, -RECORD.length), BYTES))
      return size >= record.uploadOffset ? record : undefined
    } catch {
      return undefined
    }
  }
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
