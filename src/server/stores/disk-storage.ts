import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskFiles, type FileLayer, isLeftover, isOwn, unreadable } from './disk-files.ts'
import { type Disorder, disorderOf } from './integrity.ts'
import type { KeySetStorage } from './key-set-bytes.ts'
import { type KeySetRecord, parsedRecord, type RecordTable } from './key-set-record.ts'
import { LocalIndex } from './local-index.ts'
import { adoptedRecords, RECORD } from './older-records.ts'
import { openOwnDirectory, ownFiles } from './own-directory.ts'
import { StorageHealth } from './storage-health.ts'
import { NO_LOG, type StoreLog, someNames } from './store-log.ts'

export interface DiskStorageOptions {
  /** Gets what is deleted at the start, and files of others. */
  readonly log?: StoreLog
  readonly health?: StorageHealth
  readonly layer?: FileLayer
  /**
   * When incomplete sets of PolyVeil 0.1 expire at the latest, in milliseconds since 1970. They would keep
   * their places for a week. By default in five minutes.
   */
  readonly uploadsUntil?: number
}

/** Key sets of one process: bytes in a directory, and records in memory and in a table. */
export interface DiskStorage extends KeySetStorage {
  readonly bytes: DiskFiles
}

const UPLOAD_MILLISECONDS = 300_000

/**
 * Opens the key sets of a directory, which a marker file reserves for them, and puts records and bytes in
 * order. Records that lack bytes, bytes without a record, and bytes beyond a record are removed. Contents are
 * not read.
 *
 * @param directory of this process alone
 * @param table of their records
 * @throws CONFIG_INVALID when the directory cannot be made or used, has other files and no marker, or a file
 *   cannot be read; then nothing is deleted
 */
export async function openDiskStorage(
  directory: string,
  table: RecordTable,
  {
    log = NO_LOG,
    health = new StorageHealth(log),
    layer,
    uploadsUntil = Date.now() + UPLOAD_MILLISECONDS,
  }: DiskStorageOptions = {},
): Promise<DiskStorage> {
  await openOwnDirectory(directory, isOwn, (files) => hasRecords(directory, files), log)
  const bytes = new DiskFiles(directory, health, layer)
  const files = await ownFiles(directory, isOwn, log)
  const { records, unreadable } = await loadedRecords(directory, files, table, log)
  const index = new LocalIndex(table, records, health)
  const disorder = disorderOf(records, await bytes.sizes(files), unreadable)
  await putInOrder({ index, bytes }, records, disorder, log)
  for (const file of files.filter(isLeftover)) await bytes.removeFile(file)
  limitUploads(records, uploadsUntil)
  return { index, bytes }
}

/** Whether the files are key sets of an older version: there are records, and each can be read. */
async function hasRecords(directory: string, files: readonly string[]): Promise<boolean> {
  const texts = await Promise.all(
    files
      .filter((name) => name.endsWith(RECORD))
      .map((name) =>
        readFile(join(directory, name), 'utf8').catch((cause) => {
          throw unreadable(name, cause)
        }),
      ),
  )
  return texts.length > 0 && texts.every((text) => parsedRecord(text) !== undefined)
}

/** Records of the table, with those that an older version kept as files. */
async function loadedRecords(
  directory: string,
  files: readonly string[],
  table: RecordTable,
  log: StoreLog,
): Promise<{ records: Map<string, KeySetRecord>; unreadable: ReadonlySet<string> }> {
  const { records, unreadable } = await table.load()
  if (unreadable.length > 0) {
    log.warn(someNames(unreadable), 'Records of key sets cannot be read; they are left aside')
  }
  const older = await adoptedRecords(directory, files, records, table, log)
  return { records, unreadable: new Set([...unreadable, ...older.unreadable]) }
}

/** @param records mutated */
async function putInOrder(
  { index, bytes }: DiskStorage,
  records: Map<string, KeySetRecord>,
  { withoutBytes, tooShort, tooLong, withoutRecord }: Disorder,
  log: StoreLog,
): Promise<void> {
  for (const name of [...tooShort, ...withoutRecord]) await bytes.remove(name)
  for (const name of tooLong) await bytes.shorten(name, records.get(name)!.uploadOffset)
  for (const name of [...withoutBytes, ...tooShort]) {
    records.delete(name)
    await index.forget(name)
  }
  const say = (names: readonly string[], what: string): void => {
    if (names.length > 0) log.warn(someNames(names), what)
  }
  say(withoutBytes, 'Removed records of key sets whose bytes are missing')
  say(tooShort, 'Removed key sets that have fewer bytes than their records say')
  say(tooLong, 'Cut off bytes of key sets that came after the last complete part')
  say(withoutRecord, 'Removed bytes of key sets that have no record')
}

/** @param records mutated */
function limitUploads(records: Map<string, KeySetRecord>, latest: number): void {
  for (const [name, record] of records) {
    const isLong = record.digest === undefined && record.expires > latest
    if (isLong) records.set(name, { ...record, expires: latest })
  }
}
