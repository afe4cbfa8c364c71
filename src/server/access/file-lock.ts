import { chmod } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { PolyVeilError } from '../../errors/index.ts'

const LOOK_MILLISECONDS = 20
const PATIENCE_MILLISECONDS = 10_000
/** SQLITE_BUSY, also with an extended code in the higher bytes. */
const BUSY = 5

/**
 * Runs an action while no other one runs under the lock of the same file, in this process or in another one.
 * The lock is one of SQLite on an empty file, like that of the state database: the system frees it when the
 * process ends, in whatever way, so that no lock is ever left behind.
 *
 * @throws CONFIG_INVALID when another process holds the lock for ten seconds
 */
export async function underLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  // An import would fail on an older Node before the program can say which Node it needs.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const database = new DatabaseSync(path)
  try {
    await chmod(path, 0o600)
    const end = performance.now() + PATIENCE_MILLISECONDS
    while (!isLocked(database)) {
      if (performance.now() > end) throw tooLong(path)
      await sleep(LOOK_MILLISECONDS)
    }
    return await action()
  } finally {
    database.close()
  }
}

/** Tries to lock, and does not wait: to wait inside SQLite would stop this process. */
function isLocked(database: { exec(sql: string): void }): boolean {
  try {
    database.exec('BEGIN IMMEDIATE')
    return true
  } catch (error) {
    if ((((error as { errcode?: number }).errcode ?? 0) & 255) === BUSY) return false
    throw error
  }
}

const tooLong = (path: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `Another process has held ${path} for ten seconds`,
    {},
    { remedy: 'Wait until the other polyveil tokens has ended, or end it.' },
  )
