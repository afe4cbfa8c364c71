import * as fileSystem from 'node:fs/promises'
import type { FileLayer } from '../../../src/server/stores/disk-files.ts'
import type { RecordTable } from '../../../src/server/stores/key-set-record.ts'

/** What a disk refuses now. */
export interface Faults {
  /** The error of writes to files, such as ENOSPC. */
  code?: string
  /** Bytes that are still written before that; `code` alone refuses all. */
  room?: number
  /** The error of `rm`. */
  removal?: string
  /** The error of changes of the table: one of SQLite. */
  index?: Error
}

const failure = (code: string, syscall: string): Error =>
  Object.assign(new Error(`${code}: made by a test, ${syscall}`), { code, syscall, errno: -1 })

/** A file system whose writes fail as `faults` says. */
export function faultyLayer(faults: Faults): FileLayer {
  const refuse = (syscall: string): void => {
    if (faults.code !== undefined && faults.room === undefined) throw failure(faults.code, syscall)
  }
  const open: FileLayer['open'] = async (path, flags, mode) => {
    if (['EROFS', 'EACCES', 'EMFILE', 'ENFILE'].includes(faults.code ?? '')) refuse('open')
    const file = await fileSystem.open(path, flags, mode)
    const write = file.write.bind(file)
    const limited = async (bytes: Uint8Array, offset: number, length: number, position: number) => {
      refuse('write')
      if (faults.code === undefined || faults.room === undefined)
        return write(bytes, offset, length, position)
      if (faults.room === 0) throw failure(faults.code, 'write')
      const fits = Math.min(length, faults.room)
      faults.room -= fits
      // A disk that runs full writes what fits, and refuses the next write.
      return write(bytes, offset, fits, position)
    }
    return Object.assign(file, { write: limited })
  }
  return {
    ...fileSystem,
    open,
    rm: async (path, options) => {
      if (faults.removal !== undefined) throw failure(faults.removal, 'unlink')
      return fileSystem.rm(path, options)
    },
    writeFile: async (...args) => {
      if (faults.code !== undefined) throw failure(faults.code, 'write')
      return fileSystem.writeFile(...args)
    },
  }
}

/** A table whose changes fail as `faults` says. */
export function faultyTable(table: RecordTable, faults: Faults): RecordTable {
  const unlessFaulty = <T>(action: () => Promise<T>): Promise<T> =>
    faults.index ? Promise.reject(faults.index) : action()
  return {
    load: () => table.load(),
    save: (records) => unlessFaulty(() => table.save(records)),
    saveUses: (uses) => unlessFaulty(() => table.saveUses(uses)),
    remove: (names) => unlessFaulty(() => table.remove(names)),
  }
}

/** The error that SQLite gives when its file cannot grow. */
export async function fullDatabase(): Promise<Error> {
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(':memory:')
  database.exec('CREATE TABLE t (text TEXT); PRAGMA max_page_count = 2')
  try {
    database.prepare('INSERT INTO t VALUES (?)').run('x'.repeat(100_000))
  } catch (error) {
    return error as Error
  } finally {
    database.close()
  }
  throw new Error('SQLite wrote more pages than it may')
}
