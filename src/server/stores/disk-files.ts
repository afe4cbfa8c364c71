import * as fileSystem from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { MAX_PART_BYTES } from '../../wire/protocol/index.ts'
import { type Disorder, disorderOf } from './integrity.ts'
import { keepCopy, synchronised } from './kept-copy.ts'
import type { KeySetFiles, KeySetIndex, KeySetLocation, KeySetRecord } from './key-set-record.ts'
import { adoptedRecords, parsedRecord, RECORD } from './older-records.ts'
import { openOwnDirectory, ownFiles } from './own-directory.ts'
import { StorageHealth } from './storage-health.ts'
import { StorageTrouble } from './storage-trouble.ts'
import { NO_LOG, type StoreLog, someNames } from './store-log.ts'

const BYTES = '.keys'
/** Unfinished records of an older version. */
const DRAFT = '.json.new'
const PROBE = 'write-probe'
const PROBE_BYTES = 4096
const OWNER_ONLY = 0o600
/** Files of key sets are named by a SHA-256 in hex. The store never deletes files with other names. */
const OWN = /^([0-9a-f]{64}(\.json|\.json\.new|\.keys)|write-probe)$/
const isOwn = (file: string): boolean => OWN.test(file)

/** The part of the file system that bytes of key sets are written with. */
export type FileLayer = Pick<
  typeof fileSystem,
  'copyFile' | 'link' | 'open' | 'rm' | 'stat' | 'statfs' | 'truncate' | 'writeFile'
>

export interface DiskFilesOptions {
  /** Gets what is deleted at the start, and files of others. */
  readonly log?: StoreLog
  readonly health?: StorageHealth
  readonly layer?: FileLayer
}

/**
 * Key sets whose bytes are files `NAME.keys` in a directory that a marker file reserves for them, and whose
 * records are in an index. Only the owner can read the files. Files with other names, and directories, stay
 * untouched.
 */
export class DiskFiles implements KeySetFiles {
  readonly #directory: string
  readonly #index: KeySetIndex
  readonly #log: StoreLog
  readonly #health: StorageHealth
  readonly #layer: FileLayer
  /** Names of sets without bytes whose records could not be removed yet. */
  readonly #unremoved = new Set<string>()

  private constructor(
    directory: string,
    index: KeySetIndex,
    { log = NO_LOG, health = new StorageHealth(log), layer = fileSystem }: DiskFilesOptions,
  ) {
    this.#directory = directory
    this.#index = index
    this.#log = log
    this.#health = health
    this.#layer = layer
    health.addProbe(() => this.#probe())
  }

  /**
   * @throws CONFIG_INVALID when the directory cannot be made or used, or has other files and no marker
   */
  static async open(
    directory: string,
    index: KeySetIndex,
    options: DiskFilesOptions = {},
  ): Promise<DiskFiles> {
    const store = new DiskFiles(directory, index, options)
    await openOwnDirectory(directory, isOwn, (files) => store.#hasRecords(files), store.#log)
    return store
  }

  /** Whether the files are key sets of an older version: there are records, and each can be read. */
  async #hasRecords(files: readonly string[]): Promise<boolean> {
    const texts = await Promise.all(
      files
        .filter((name) => name.endsWith(RECORD))
        .map((name) =>
          fileSystem.readFile(join(this.#directory, name), 'utf8').catch((cause) => {
            throw unreadable(name, cause)
          }),
        ),
    )
    return texts.length > 0 && texts.every((text) => parsedRecord(text) !== undefined)
  }

  /**
   * The records that agree with their bytes. Records that lack bytes, bytes without a record, and bytes
   * beyond a record are removed. Contents are not read.
   *
   * @throws CONFIG_INVALID when the disk or the permissions fail; then nothing is deleted
   */
  async load(): Promise<Map<string, KeySetRecord>> {
    const files = await ownFiles(this.#directory, isOwn, this.#log)
    const { records, unreadable } = await this.#index.load()
    if (unreadable.length > 0) {
      this.#log.warn(someNames(unreadable), 'Records of key sets cannot be read; they are left aside')
    }
    const older = await adoptedRecords(this.#directory, files, records, this.#index, this.#log)
    const leftAside = new Set([...unreadable, ...older.unreadable])
    const sizes = await this.#sizes(files)
    await this.#putInOrder(records, disorderOf(records, sizes, leftAside))
    for (const file of files.filter((each) => each.endsWith(DRAFT) || each === PROBE)) await this.#rm(file)
    return records
  }

  async save(name: string, record: KeySetRecord): Promise<void> {
    await this.#health.guard(() => this.#index.save(new Map([[name, record]])))
  }

  async saveUses(uses: ReadonlyMap<string, number>): Promise<void> {
    await this.#health.guard(() => this.#index.saveUses(uses))
  }

  async write(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<number> {
    return this.#health.guard(async () => {
      const file = await this.#layer.open(this.#path(name), offset === 0 ? 'w' : 'r+', OWNER_ONLY)
      try {
        const end = await writeAll(file, offset, part)
        await file.truncate(end)
        await file.sync()
        return end - offset
      } catch (cause) {
        // The upload goes on at its offset; the bytes behind it are in no record's length.
        await file.truncate(offset).catch(() => {})
        throw cause
      } finally {
        await file.close()
      }
    })
  }

  async cut(name: string, offset: number): Promise<void> {
    await this.#layer.truncate(this.#path(name), offset).catch(() => {})
  }

  async remove(name: string): Promise<void> {
    // The bytes go first, because a full disk may have no room for the change of the index. The next start
    // removes a record that has no bytes.
    await this.#health.guard(() => this.#rm(name + BYTES))
    await this.#forget([name])
  }

  location(name: string): KeySetLocation {
    return { path: this.#path(name) }
  }

  /**
   * Gives the bytes of complete sets, which do not change any more, a second place in a new directory.
   *
   * @returns names of the sets whose bytes are there: not those that are incomplete, or deleted meanwhile
   */
  async copyTo(directory: string, records: ReadonlyMap<string, KeySetRecord>): Promise<Set<string>> {
    await openOwnDirectory(directory, isOwn, async () => false, NO_LOG)
    const kept = new Set<string>()
    for (const [name, { digest, bytes }] of records) {
      if (digest === undefined) continue
      const to = join(directory, name + BYTES)
      if (!(await keepCopy(this.#path(name), to, this.#layer))) continue
      if ((await this.#layer.stat(to)).size === bytes) kept.add(name)
      else await this.#layer.rm(to, { force: true })
    }
    await synchronised(directory)
    return kept
  }

  /** Removes records of sets whose bytes are gone, or notes them for later when the disk refuses it. */
  async #forget(names: readonly string[]): Promise<void> {
    for (const name of names) this.#unremoved.add(name)
    try {
      await this.#health.guard(() => this.#removeRecords())
    } catch (error) {
      if (!(error instanceof StorageTrouble)) throw error
    }
  }

  async #removeRecords(): Promise<void> {
    const names = [...this.#unremoved]
    if (names.length > 0) await this.#index.remove(names)
    for (const name of names) this.#unremoved.delete(name)
  }

  async #putInOrder(records: Map<string, KeySetRecord>, disorder: Disorder): Promise<void> {
    const { withoutBytes, tooShort, tooLong, withoutRecord } = disorder
    for (const name of [...tooShort, ...withoutRecord]) await this.#rm(name + BYTES)
    for (const name of tooLong) await this.#layer.truncate(this.#path(name), records.get(name)!.uploadOffset)
    const incomplete = [...withoutBytes, ...tooShort]
    for (const name of incomplete) records.delete(name)
    if (incomplete.length > 0) await this.#forget(incomplete)
    this.#say(withoutBytes, 'Removed records of key sets whose bytes are missing')
    this.#say(tooShort, 'Removed key sets that have fewer bytes than their records say')
    this.#say(tooLong, 'Cut off bytes of key sets that came after the last complete part')
    this.#say(withoutRecord, 'Removed bytes of key sets that have no record')
  }

  #say(names: readonly string[], what: string): void {
    if (names.length > 0) this.#log.warn(someNames(names), what)
  }

  /** Lengths of the files of bytes, by name of the key set. */
  async #sizes(files: readonly string[]): Promise<Map<string, number>> {
    const sizes = new Map<string, number>()
    for (const file of files.filter((each) => each.endsWith(BYTES))) {
      const { size } = await this.#layer.stat(join(this.#directory, file)).catch((cause) => {
        throw unreadable(file, cause)
      })
      sizes.set(file.slice(0, -BYTES.length), size)
    }
    return sizes
  }

  /** Fails while nothing can be written, or there is less room than a part needs. */
  async #probe(): Promise<void> {
    const path = join(this.#directory, PROBE)
    try {
      await this.#layer.writeFile(path, new Uint8Array(PROBE_BYTES), { mode: OWNER_ONLY, flush: true })
    } finally {
      await this.#rm(PROBE)
    }
    const { bavail, bsize } = await this.#layer.statfs(this.#directory)
    if (bavail * bsize < MAX_PART_BYTES) throw new StorageTrouble('full')
    await this.#removeRecords()
  }

  #rm(file: string): Promise<void> {
    return this.#layer.rm(join(this.#directory, file), { force: true })
  }

  #path(name: string): string {
    return join(this.#directory, name + BYTES)
  }
}

const unreadable = (file: string, cause: NodeJS.ErrnoException): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `A file of the data directory cannot be read (${cause.code}): ${file}`,
    { file },
    { cause },
  )

async function writeAll(
  file: fileSystem.FileHandle,
  offset: number,
  part: AsyncIterable<Uint8Array>,
): Promise<number> {
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
