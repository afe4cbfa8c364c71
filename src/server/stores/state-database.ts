import { access, chmod, constants, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { inFile, PolyVeilError } from '../../errors/index.ts'
import { makeDirectory } from '../../files/atomic.ts'
import type { ImageCount, ImageCounts } from '../access/image-budget.ts'
import type { RecordTable } from './key-set-record.ts'
import { KEY_SET_TABLE, KeySetTable } from './key-set-table.ts'
import { StorageHealth } from './storage-health.ts'
import { StorageTrouble } from './storage-trouble.ts'

const FILE = 'state.db'
/** The name that SQLite gives its write-ahead log. */
const LOG = 'state.db-wal'
const OWNER_ONLY = 0o600
/** 1 had no key sets. */
const LAYOUT = 2
/** Marks the file as ours in its header: "PVst" in ASCII. Layout 1 had no mark. */
const APPLICATION = 0x50_56_73_74

const TABLES = `
  CREATE TABLE IF NOT EXISTS images (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
  ) STRICT, WITHOUT ROWID;
  ${KEY_SET_TABLE}
`

/**
 * What the service must still know after a restart: images that tenants have classified, and records of key
 * sets. The open database also locks the data directory: the system frees the lock when the process ends, in
 * whatever way.
 */
export class StateDatabase implements ImageCounts {
  readonly keySets: RecordTable
  readonly #database: DatabaseSync
  readonly #health: StorageHealth
  readonly #read: ReturnType<DatabaseSync['prepare']>
  readonly #add: ReturnType<DatabaseSync['prepare']>

  private constructor(database: DatabaseSync, health: StorageHealth) {
    this.#database = database
    this.#health = health
    this.keySets = new KeySetTable(database)
    this.#read = database.prepare(
      'SELECT TOTAL(count) AS total, TOTAL(count) FILTER (WHERE day = ?) AS today FROM images WHERE tenant = ?',
    )
    this.#add = database.prepare(
      'INSERT INTO images VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count',
    )
    // This writes a page, with the value that the header has already.
    health.addProbe(() => database.exec(`PRAGMA user_version = ${LAYOUT}`))
  }

  /**
   * Opens the database of a data directory, and locks the directory.
   *
   * @param health gets failures of writes
   * @throws CONFIG_INVALID when another service uses the directory, or the file is damaged, of another
   *   program, of a later version, or cannot be written
   */
  static async open(directory: string, health = new StorageHealth()): Promise<StateDatabase> {
    const path = join(directory, FILE)
    await inFile({ name: `The data directory ${directory}` }, async () => {
      await makeWritable(directory)
      await makePrivate(path)
    })
    try {
      return StateDatabase.#prepared(path, health)
    } catch (cause) {
      if (cause instanceof PolyVeilError) throw cause
      throw unusable(directory, path, cause)
    }
  }

  /** A database that is kept in memory, for a service without a data directory. */
  static inMemory(): StateDatabase {
    return StateDatabase.#prepared(':memory:', new StorageHealth())
  }

  static #prepared(path: string, health: StorageHealth): StateDatabase {
    // An import would fail on an older Node before the program can say which Node it needs.
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
    const database = new DatabaseSync(path)
    try {
      database.exec('PRAGMA locking_mode = EXCLUSIVE')
      requireOwn(database, path)
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
      // The transaction takes the lock. It writes only to a database of another layout, so that a service
      // also starts while the disk is full.
      database.exec('BEGIN IMMEDIATE')
      if (numberOf(database, 'user_version') < LAYOUT) {
        database.exec(`${TABLES} PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = ${LAYOUT}`)
      }
      database.exec('COMMIT')
      return new StateDatabase(database, health)
    } catch (error) {
      database.close()
      throw error
    }
  }

  async of(tenant: string, day: string): Promise<ImageCount> {
    const { today, total } = this.#read.get(day, tenant) as unknown as ImageCount
    return { today, total }
  }

  async add(tenant: string, day: string, images: number): Promise<ImageCount> {
    try {
      this.#add.run(tenant, day, images)
    } catch (cause) {
      const error = this.#health.failed(cause)
      // Images that a full disk does not let a tenant have back stay counted; the query has its own error.
      if (images >= 0 || !(error instanceof StorageTrouble)) throw error
    }
    return this.of(tenant, day)
  }

  /** Writes the state of this moment to a directory that has none. */
  async copyTo(directory: string): Promise<void> {
    const path = join(directory, FILE)
    await makePrivate(path)
    // SQLite takes an empty file, and refuses any other.
    this.#database.prepare('VACUUM INTO ?').run(path)
  }

  /**
   * Adds an empty log of changes to a closed copy. Copied over the files of a service that was killed, it
   * takes the place of that service's log, which SQLite would apply to the copy.
   */
  static async addEmptyLog(directory: string): Promise<void> {
    await writeFile(join(directory, LOG), '', { flag: 'wx', mode: OWNER_ONLY })
  }

  /** Unlocks the directory. A second call has no effect. */
  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

// SQLite does not say why it cannot open a file.
async function makeWritable(directory: string): Promise<void> {
  await makeDirectory(directory)
  await access(directory, constants.R_OK | constants.W_OK | constants.X_OK)
}

/** @throws CONFIG_INVALID for a database of another program, a later version, or with damaged pages */
function requireOwn(database: DatabaseSync, path: string): void {
  const application = numberOf(database, 'application_id')
  const layout = numberOf(database, 'user_version')
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  const isNew = application === 0 && layout === 0 && tables.length === 0
  const isUnmarked = application === 0 && layout === 1 && tables.some(({ name }) => name === 'images')
  if (!isNew && !isUnmarked && application !== APPLICATION) throw foreign(path)
  if (layout > LAYOUT) throw laterVersion(path, layout)
  const [{ quick_check: found }] = database.prepare('PRAGMA quick_check(1)').all() as [
    { quick_check: string },
  ]
  if (found !== 'ok') throw damaged(path, found.split('\n').at(-1) ?? found)
}

const numberOf = (database: DatabaseSync, pragma: 'application_id' | 'user_version'): number =>
  Number(database.prepare(`PRAGMA ${pragma}`).get()?.[pragma])

const laterVersion = (path: string, layout: number): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `${path} was written by a later version of PolyVeil (layout ${layout}; this version knows ${LAYOUT})`,
    {},
    { remedy: 'Run that version, or restore the data directory from a backup made before the upgrade.' },
  )

/** Makes a file that only its owner can read. SQLite gives its other files the same mode. */
async function makePrivate(path: string): Promise<void> {
  try {
    // A file that exists must not be opened here: closing it would free the lock of this process on it.
    await writeFile(path, '', { flag: 'wx', mode: OWNER_ONLY })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    await chmod(path, OWNER_ONLY).catch(() => {})
  }
}

const foreign = (path: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `${path} is a database of another program; nothing in it was changed`,
    {},
    { remedy: 'Move it elsewhere, or give the service a dataDir of its own.' },
  )

const RESTORE =
  'Restore the data directory from a backup. Without a backup, move the file and those named after it (-wal, -shm) ' +
  'elsewhere: the next start makes a new one, counts of images begin at 0, and clients upload their key sets again.'

const damaged = (path: string, found: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `${path} is damaged (${found}); nothing was changed`,
    {},
    { remedy: RESTORE },
  )

/** Result codes of a damaged file: SQLITE_CORRUPT, SQLITE_NOTADB. */
const DAMAGED: readonly number[] = [11, 26]
/** SQLITE_BUSY, also with an extended code in the higher bytes. */
const BUSY = 5

function unusable(directory: string, path: string, cause: unknown): PolyVeilError {
  const { errcode = 0, message } = cause as { errcode?: number; message?: string }
  if ((errcode & 255) === BUSY) {
    return new PolyVeilError(
      'CONFIG_INVALID',
      `Another service uses the data directory ${directory}`,
      {},
      { cause, remedy: 'End that service, or give this one a dataDir of its own.' },
    )
  }
  if (DAMAGED.includes(errcode & 255)) return damaged(path, String(message))
  return new PolyVeilError(
    'CONFIG_INVALID',
    `${path} cannot be used (${message})`,
    {},
    { cause, remedy: 'Check the rights and the room on the disk.' },
  )
}
