import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { inFile, PolyVeilError } from '../../errors/index.ts'
import { makeDirectory } from '../../files/atomic.ts'
import type { ImageCounts } from '../access/image-budget.ts'

const FILE = 'state.db'
const LAYOUT = 1

const TABLES = `
  CREATE TABLE IF NOT EXISTS images (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
  ) STRICT, WITHOUT ROWID;
`

/**
 * What the service counts and must still know after a restart. The open database also locks the data
 * directory: the system frees the lock when the process ends, in whatever way.
 */
export class StateDatabase implements ImageCounts {
  readonly #database: DatabaseSync
  readonly #read: ReturnType<DatabaseSync['prepare']>
  readonly #add: ReturnType<DatabaseSync['prepare']>

  private constructor(database: DatabaseSync) {
    this.#database = database
    this.#read = database.prepare(
      'SELECT TOTAL(count) AS total, TOTAL(count) FILTER (WHERE day = ?) AS today FROM images WHERE tenant = ?',
    )
    this.#add = database.prepare(
      'INSERT INTO images VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count',
    )
  }

  /**
   * Opens the database of a data directory, and locks the directory.
   *
   * @throws CONFIG_INVALID when another service uses the directory, or the file is damaged, of a later
   *   version, or cannot be written
   */
  static async open(directory: string): Promise<StateDatabase> {
    const path = join(directory, FILE)
    await inFile({ name: `The data directory ${directory}` }, () => makeWritable(directory))
    try {
      return StateDatabase.#prepared(path)
    } catch (cause) {
      if (cause instanceof PolyVeilError) throw cause
      throw unusable(directory, path, cause)
    }
  }

  /** A database that is kept in memory, for a service without a data directory. */
  static inMemory(): StateDatabase {
    return StateDatabase.#prepared(':memory:')
  }

  static #prepared(path: string): StateDatabase {
    // An import would fail on an older Node before the program can say which Node it needs.
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
    const database = new DatabaseSync(path)
    try {
      // The lock is taken by the first write.
      database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
      database.exec(`BEGIN IMMEDIATE; ${TABLES}`)
      const { user_version: layout } = database.prepare('PRAGMA user_version').get() as {
        user_version: number
      }
      if (layout > LAYOUT) throw laterVersion(path, layout)
      database.exec(`PRAGMA user_version = ${LAYOUT}; COMMIT`)
      return new StateDatabase(database)
    } catch (error) {
      database.close()
      throw error
    }
  }

  of(tenant: string, day: string): { today: number; total: number } {
    const { today, total } = this.#read.get(day, tenant) as { today: number; total: number }
    return { today, total }
  }

  add(tenant: string, day: string, images: number): void {
    this.#add.run(tenant, day, images)
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

const laterVersion = (path: string, layout: number): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `${path} was written by a later version of PolyVeil (layout ${layout}; this version knows ${LAYOUT})`,
    {},
    { remedy: 'Run that version, or restore the data directory from a backup made before the upgrade.' },
  )

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
  return new PolyVeilError(
    'CONFIG_INVALID',
    `${path} cannot be used (${message})`,
    {},
    {
      cause,
      remedy: 'Check the rights and the room on the disk; a damaged file is restored from a backup.',
    },
  )
}
