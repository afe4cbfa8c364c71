import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type KeySetRecord, parsedRecord, type RecordTable } from './key-set-record.ts'
import { type StoreLog, someNames } from './store-log.ts'

/** Ending of the files that older versions kept records in. */
export const RECORD = '.json'

/**
 * Moves the records that an older version kept as files to the table, and adds them to `records`. A file is
 * deleted once the table has its record. If this is interrupted, the next start goes on.
 *
 * @param records those of the table; mutated
 * @returns names of sets whose files cannot be read; these stay
 */
export async function adoptedRecords(
  directory: string,
  files: readonly string[],
  records: Map<string, KeySetRecord>,
  table: RecordTable,
  log: StoreLog,
): Promise<{ unreadable: string[] }> {
  const names = files.filter((file) => file.endsWith(RECORD)).map((file) => file.slice(0, -RECORD.length))
  if (names.length === 0) return { unreadable: [] }
  const adopted = new Map<string, KeySetRecord>()
  const unreadable: string[] = []
  for (const name of names.filter((each) => !records.has(each))) {
    const record = await recordIn(join(directory, name + RECORD))
    if (record) adopted.set(name, record)
    else unreadable.push(name)
  }
  await table.save(adopted)
  for (const [name, record] of adopted) records.set(name, record)
  for (const name of names.filter((each) => records.has(each))) {
    await rm(join(directory, name + RECORD), { force: true })
  }
  if (adopted.size > 0) log.info({ count: adopted.size }, 'Moved records of key sets to the state database')
  if (unreadable.length > 0) {
    const facts = { files: unreadable.slice(0, 3).map((name) => name + RECORD), ...someNames(unreadable) }
    log.warn(facts, 'Files of records cannot be read; they and the bytes of their key sets are left aside')
  }
  return { unreadable }
}

const recordIn = (path: string): Promise<KeySetRecord | undefined> =>
  readFile(path, 'utf8').then(parsedRecord, () => undefined)
