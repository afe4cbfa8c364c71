import type { DatabaseSync } from 'node:sqlite'
import {
  KEY_SET_NAME,
  type KeySetRecord,
  keySetRecordSchema,
  type LoadedRecords,
  type RecordTable,
} from './key-set-record.ts'

export const KEY_SET_TABLE = `
  CREATE TABLE IF NOT EXISTS key_sets (
    name TEXT PRIMARY KEY,
    owner TEXT,
    network TEXT,
    parameters_digest TEXT NOT NULL,
    galois_elements TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    upload_offset INTEGER NOT NULL,
    digest TEXT,
    announced REAL,
    expires REAL NOT NULL,
    used REAL
  ) STRICT, WITHOUT ROWID;
`

type Row = Readonly<Record<string, string | number | null>>

/** Records of key sets in a table of the state database. */
export class KeySetTable implements RecordTable {
  readonly #database: DatabaseSync
  readonly #save: ReturnType<DatabaseSync['prepare']>
  readonly #use: ReturnType<DatabaseSync['prepare']>
  readonly #remove: ReturnType<DatabaseSync['prepare']>

  /** @param database with `KEY_SET_TABLE`, in WAL mode with synchronous = NORMAL */
  constructor(database: DatabaseSync) {
    this.#database = database
    this.#save = database.prepare(
      `INSERT OR REPLACE INTO key_sets (
         name, owner, network, parameters_digest, galois_elements, bytes, upload_offset, digest, announced, expires, used
       ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#use = database.prepare('UPDATE key_sets SET used = ? WHERE name = ?')
    this.#remove = database.prepare('DELETE FROM key_sets WHERE name = ?')
  }

  async load(): Promise<LoadedRecords> {
    const records = new Map<string, KeySetRecord>()
    const unreadable: string[] = []
    for (const row of this.#database.prepare('SELECT * FROM key_sets').iterate() as Iterable<Row>) {
      const record = recordOf(row)
      if (record) records.set(String(row.name), record)
      else unreadable.push(String(row.name))
    }
    return { records, unreadable }
  }

  async save(records: ReadonlyMap<string, KeySetRecord>): Promise<void> {
    this.#durably(() => {
      for (const [name, record] of records) this.#save.run(...valuesOf(name, record))
    })
  }

  async saveUses(uses: ReadonlyMap<string, number>): Promise<void> {
    this.#atOnce(() => {
      for (const [name, used] of uses) this.#use.run(used, name)
    })
  }

  async remove(names: readonly string[]): Promise<void> {
    this.#durably(() => {
      for (const name of names) this.#remove.run(name)
    })
  }

  /** Runs a transaction that is on the disk when this returns; others may be lost when the power fails. */
  #durably(action: () => void): void {
    this.#database.exec('PRAGMA synchronous = FULL')
    try {
      this.#atOnce(action)
    } finally {
      this.#database.exec('PRAGMA synchronous = NORMAL')
    }
  }

  #atOnce(action: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      action()
      this.#database.exec('COMMIT')
    } catch (error) {
      // SQLite rolls back by itself after some errors, such as a full disk.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }
}

const valuesOf = (name: string, record: KeySetRecord): (string | number | null)[] => [
  name,
  record.owner ?? null,
  record.network ?? null,
  record.parametersDigest,
  JSON.stringify(record.galoisElements),
  record.bytes,
  record.uploadOffset,
  record.digest ?? null,
  record.announced ?? null,
  record.expires,
  record.used ?? null,
]

/** A name becomes the name of a file, so that others than the store's own are not taken. */
function recordOf(row: Row): KeySetRecord | undefined {
  if (!KEY_SET_NAME.test(String(row.name))) return undefined
  try {
    return keySetRecordSchema.parse({
      parametersDigest: row.parameters_digest,
      galoisElements: JSON.parse(String(row.galois_elements)),
      bytes: row.bytes,
      uploadOffset: row.upload_offset,
      expires: row.expires,
      ...(row.digest !== null && { digest: row.digest }),
      ...(row.announced !== null && { announced: row.announced }),
      ...(row.owner !== null && { owner: row.owner }),
      ...(row.network !== null && { network: row.network }),
      ...(row.used !== null && { used: row.used }),
    })
  } catch {
    return undefined
  }
}
