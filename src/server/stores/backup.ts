import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, readdir, realpath, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { fileNames, makeDirectory } from '../../files/atomic.ts'
import { TENANT_DIRECTORY, TENANT_ENDING } from '../access/tenant-files.ts'
import { conflict } from '../problems/http-error.ts'
import type { DiskFiles } from './disk-files.ts'
import { FLOODING_KEY_FILE } from './flooding-key.ts'
import { durableCopy, synchronised } from './kept-copy.ts'
import { StateDatabase } from './state-database.ts'
import { publicTrouble } from './storage-trouble.ts'

/** What a service keeps, and where. */
export interface BackupSource {
  /** The data directory. */
  readonly dataDir: string
  readonly state: StateDatabase
  readonly files: DiskFiles
}

export interface Backup {
  /** The directory of the backup. */
  readonly path: string
  /** Complete key sets in it. */
  readonly keySets: number
  /** Bytes of these. */
  readonly bytes: number
  /** Key sets that it leaves out: incomplete ones, and those deleted meanwhile. */
  readonly leftOut: number
  readonly tenants: number
}

/** A name that is one part of a path, and neither hidden nor a way upwards. */
export const BACKUP_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** The last file of a backup. */
const MARKER = 'backup.json'
const OWNER_ONLY = 0o600
const HASH_DIGITS = 16

/** Makes backups of a running service, one at a time, as directories below one directory. */
export class Backups {
  readonly #directory: string
  readonly #source: BackupSource
  #isRunning = false

  /** @param directory of all backups; made when it does not exist */
  constructor(directory: string, source: BackupSource) {
    this.#directory = directory
    this.#source = source
  }

  /**
   * Makes a data directory that a service can start on. Until it is complete it has another name, which
   * begins with a dot.
   *
   * @param name that fits `BACKUP_NAME`
   * @throws CONFIG_INVALID (409) when there is something of this name; TOO_BUSY (409) while another backup is
   *   made; StorageTrouble
   */
  async make(name: string): Promise<Backup> {
    if (!BACKUP_NAME.test(name)) throw new PolyVeilError('CONFIG_INVALID', 'This is no name of a backup')
    if (this.#isRunning) throw conflict('TOO_BUSY', 'Another backup is being made', { retryAfter: 5 })
    this.#isRunning = true
    try {
      return await this.#make(name)
    } catch (cause) {
      throw publicTrouble(cause)
    } finally {
      this.#isRunning = false
    }
  }

  /**
   * Removes what backups of this data directory have left whose process was killed: the directory of another
   * name, and the empty one that reserved the name. Backups of other services in the same directory stay.
   */
  async removeUnfinished(): Promise<void> {
    const ending = await this.#draftEnding()
    const files = await readdir(this.#directory).catch((cause) => {
      if (cause.code === 'ENOENT') return []
      throw cause
    })
    for (const file of files) {
      const name = file.startsWith('.') && file.endsWith(ending) ? file.slice(1, -ending.length) : ''
      if (!BACKUP_NAME.test(name)) continue
      // As long as the draft is there, the next start finds the name. A directory with files stays.
      await rmdir(join(this.#directory, name)).catch(() => {})
      await rm(join(this.#directory, file), { recursive: true, force: true })
    }
  }

  /** How names of unfinished backups of this data directory end. One service at a time has the directory. */
  async #draftEnding(): Promise<string> {
    const hash = createHash('sha256')
      .update(await realpath(this.#source.dataDir))
      .digest('hex')
    return `.${hash.slice(0, HASH_DIGITS)}.part`
  }

  async #make(name: string): Promise<Backup> {
    await makeDirectory(this.#directory)
    const path = join(this.#directory, name)
    const draft = join(this.#directory, `.${name}${await this.#draftEnding()}`)
    await rm(draft, { recursive: true, force: true })
    await mkdir(draft, { mode: 0o700 })
    // Reserves the name. It does not follow a link that is there.
    await mkdir(path, { mode: 0o700 }).catch(async (cause) => {
      await rmdir(draft).catch(() => {})
      throw cause.code === 'EEXIST' ? taken(name) : cause
    })
    try {
      const backup = { path, ...(await copyInto(draft, this.#source)) }
      // The directory at the new name is empty, so that it is replaced.
      await rename(draft, path)
      await synchronised(this.#directory)
      return backup
    } catch (error) {
      await rm(draft, { recursive: true, force: true }).catch(() => {})
      await rmdir(path).catch(() => {})
      throw error
    }
  }
}

/**
 * Copies what the service keeps to a directory. The records are those of one moment. Of these stay those
 * whose bytes are there, so that each record of the copy has its bytes.
 */
async function copyInto(directory: string, source: BackupSource): Promise<Omit<Backup, 'path'>> {
  const { dataDir, state, files } = source
  await state.copyTo(directory)
  const sets = await keySetsInto(directory, files)
  await StateDatabase.addEmptyLog(directory)
  const tenants = await tenantsInto(directory, dataDir)
  if (!(await durableCopy(join(dataDir, FLOODING_KEY_FILE), join(directory, FLOODING_KEY_FILE)))) {
    throw new PolyVeilError('CONFIG_INVALID', `The data directory has no ${FLOODING_KEY_FILE} any more`)
  }
  const facts = { ...sets, tenants }
  const mark = { format: 'polyveil-backup-1', created: new Date().toISOString(), ...facts }
  await writeFile(join(directory, MARKER), `${JSON.stringify(mark)}\n`, { mode: OWNER_ONLY, flush: true })
  await synchronised(directory)
  return facts
}

async function keySetsInto(
  directory: string,
  files: DiskFiles,
): Promise<Pick<Backup, 'keySets' | 'bytes' | 'leftOut'>> {
  // It checks the copy, too.
  const copy = await StateDatabase.open(directory)
  try {
    const { records, unreadable } = await copy.keySets.load()
    const kept = await files.copyTo(join(directory, 'keys'), records)
    const others = [...records.keys()].filter((name) => !kept.has(name))
    await copy.keySets.remove([...others, ...unreadable])
    const bytes = [...kept].reduce((sum, name) => sum + records.get(name)!.bytes, 0)
    return { keySets: kept.size, bytes, leftOut: others.length + unreadable.length }
  } finally {
    copy.close()
  }
}

/** Files of tenants are replaced as a whole, so that a copy of one has one state of it. */
async function tenantsInto(directory: string, dataDir: string): Promise<number> {
  const from = join(dataDir, TENANT_DIRECTORY)
  const to = join(directory, TENANT_DIRECTORY)
  const names = (await fileNames(from)).filter((name) => name.endsWith(TENANT_ENDING))
  if (names.length === 0) return 0
  await mkdir(to, { mode: 0o700 })
  let count = 0
  for (const name of names) {
    const found = await lstat(join(from, name)).catch(() => undefined)
    if (!found?.isFile() || !(await durableCopy(join(from, name), join(to, name)))) continue
    await chmod(join(to, name), OWNER_ONLY)
    count++
  }
  await synchronised(to)
  return count
}

const taken = (name: string): PolyVeilError =>
  conflict('CONFIG_INVALID', `There is a backup, or another thing, of the name ${name}; choose another`, {
    name,
  })
