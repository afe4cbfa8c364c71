import { del, get, keys, promisifyRequest, set, type UseStore, update } from 'idb-keyval'
import { PolyVeilError } from '../../errors/index.ts'
import type { EntryPlace } from './entry-place.ts'

const ENTRIES = 'entries'

/** A browser's database as a place for entries. */
export interface Database extends EntryPlace {
  /** Deletes the database. Pages that have it open close it. @throws KEY_STORE_UNAVAILABLE */
  forget(): Promise<void>
}

/**
 * The entries of a database, which is made at its first use. It is opened again after the browser has closed
 * it or somebody has deleted it.
 */
export function database(name: string): Database {
  let opened: Promise<IDBDatabase> | undefined
  const close = (): void => {
    opened?.then((db) => db.close()).catch(() => {})
    opened = undefined
  }
  const transaction: UseStore = async (mode, callback) => {
    opened ??= openDatabase(name, close)
    const db = await opened
    return callback(db.transaction(ENTRIES, mode).objectStore(ENTRIES))
  }
  // A transaction that a closed connection refuses or aborts has done nothing.
  const entries: UseStore = async (mode, callback) => {
    try {
      return await transaction(mode, callback).catch((error) => {
        if (nameOf(error) === QUOTA) throw error
        close()
        return transaction(mode, callback)
      })
    } catch (cause) {
      close()
      throw nameOf(cause) === QUOTA ? noRoom(name, cause) : unavailable(name, cause)
    }
  }
  return {
    get: (key) => get<Uint8Array>(key, entries),
    put: (key, bytes) => set(key, bytes, entries),
    delete: (key) => del(key, entries),
    names: () => keys<string>(entries),
    make: async () => {},
    // Transactions leave nothing behind.
    tidy: async () => {},
    async add(key, bytes) {
      let there = bytes
      // One transaction, so that no other page can write in between.
      await update<Uint8Array>(
        key,
        (present) => {
          there = present ?? bytes
          return there
        },
        entries,
      )
      return there
    },
    async forget() {
      close()
      try {
        await promisifyRequest(indexedDB.deleteDatabase(name))
      } catch (cause) {
        throw unavailable(name, cause)
      }
    },
  }
}

/** @param close called when the connection is or must be closed */
async function openDatabase(name: string, close: () => void): Promise<IDBDatabase> {
  const request = indexedDB.open(name)
  request.onupgradeneeded = () => request.result.createObjectStore(ENTRIES)
  const db = await promisifyRequest(request)
  // The browser has deleted the data of the page.
  db.onclose = close
  // Another page deletes the database, and waits for this.
  db.onversionchange = close
  return db
}

const QUOTA = 'QuotaExceededError'

const nameOf = (error: unknown): unknown => (error as { name?: unknown } | null)?.name

/** Without sizes: browsers do not tell the true limit to pages. */
const noRoom = (database: string, cause: unknown): PolyVeilError =>
  new PolyVeilError(
    'KEY_STORE_UNAVAILABLE',
    `The browser has no room for the key store ${database}`,
    { database, reason: 'quota' },
    {
      cause,
      remedy: 'Delete data of this site or free disk space, and call again; or use a store in memory.',
    },
  )

function unavailable(database: string, cause: unknown): PolyVeilError {
  const isMissing = globalThis.indexedDB === undefined
  return new PolyVeilError(
    'KEY_STORE_UNAVAILABLE',
    isMissing
      ? `There is no indexedDB here for the key store ${database}`
      : `The browser does not give its database ${database}`,
    { database, reason: isMissing ? 'missing' : 'refused' },
    { cause },
  )
}
