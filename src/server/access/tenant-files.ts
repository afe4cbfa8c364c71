import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { fileNames, makeDirectory, removeAbandoned, replaceFile } from '../../files/atomic.ts'
import { underLock } from './file-lock.ts'
import { requireTenantName, type Tenant, tenantSchema, tenantTrouble } from './tenant.ts'

const DIRECTORY = 'tenants'
const ENDING = '.json'
const LOCK = '.lock'
const MOST_BYTES = 2 ** 20

/** The content of a tenant's file is not what `save` writes. */
export class DamagedTenant extends PolyVeilError {
  constructor(path: string, what: string) {
    const remedy = 'Restore it from a backup, or delete it and create new tokens for this tenant.'
    super('CONFIG_INVALID', `${path} ${what}`, {}, { remedy })
  }
}

/** A tenant's file as its directory has it. */
export interface TenantFileState {
  /** A text that changes whenever the file or its rights do. */
  readonly version: string
  readonly isWritableByOthers: boolean
}

/**
 * Tenants in a directory, one file each. The command line writes them while the service runs, so every file
 * is replaced as a whole.
 */
export class TenantFiles {
  readonly directory: string

  /** @param dataDirectory the data directory of the service */
  constructor(dataDirectory: string) {
    this.directory = join(dataDirectory, DIRECTORY)
  }

  /** The names of all tenants, sorted. */
  async names(): Promise<string[]> {
    const files = await this.#orRefused(() => fileNames(this.directory))
    return files
      .filter((file) => file.endsWith(ENDING))
      .map((file) => file.slice(0, -ENDING.length))
      .sort()
  }

  async state(name: string): Promise<TenantFileState> {
    const found = await stat(this.#path(name)).catch(() => undefined)
    if (found === undefined) return { version: 'absent', isWritableByOthers: false }
    const { mtimeMs, ctimeMs, size, ino } = found
    return { version: [mtimeMs, ctimeMs, size, ino].join(), isWritableByOthers: isOpenToWriters(found) }
  }

  /** Whether users other than the owner may add, replace and delete tenants. */
  async isWritableByOthers(): Promise<boolean> {
    const found = await stat(this.directory).catch(() => undefined)
    return found !== undefined && isOpenToWriters(found)
  }

  /** @throws CONFIG_INVALID when the file cannot be read, and `DamagedTenant` when its content is wrong */
  async read(name: string): Promise<Tenant | undefined> {
    const bytes = await this.#orRefused(() => readRegularFile(this.#path(name)))
    if (bytes === undefined) return undefined
    try {
      const tenant = tenantSchema.parse(JSON.parse(new TextDecoder().decode(bytes)))
      if (tenant.tenant === name) return tenant
    } catch {
      // Reported below: the text may have anything in it.
    }
    throw new DamagedTenant(this.#path(name), 'is not as polyveil tokens writes it')
  }

  /**
   * Replaces the file of a tenant, or adds it. What depends on the file before belongs into `alone`.
   *
   * @throws CONFIG_INVALID also for a tenant that `read` would not take
   */
  async save(tenant: Tenant): Promise<void> {
    requireTenantName(tenant.tenant)
    const { error } = tenantSchema.safeParse(tenant)
    if (error) throw tenantTrouble(error)
    const bytes = new TextEncoder().encode(`${JSON.stringify(tenant, null, 2)}\n`)
    if (bytes.length > MOST_BYTES) throw tooManyTokens(tenant)
    await this.#orRefused(async () => {
      await makeDirectory(this.directory)
      await removeAbandoned(this.directory, (name) => name.endsWith(ENDING))
      await replaceFile(this.directory, tenant.tenant + ENDING, bytes)
    })
  }

  /** Runs an action while no other one, of this process or another, runs by this method. */
  async alone<T>(action: () => Promise<T>): Promise<T> {
    await this.#orRefused(() => makeDirectory(this.directory))
    return this.#orRefused(() => underLock(join(this.directory, LOCK), action))
  }

  #path(name: string): string {
    return join(this.directory, name + ENDING)
  }

  async #orRefused<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      if (cause instanceof PolyVeilError) throw cause
      const { code, message: said } = cause as NodeJS.ErrnoException
      // What SQLite says about a lock has no code that tells more.
      const why = code === undefined || code === 'ERR_SQLITE_ERROR' ? said : code
      const message = `The tenants in ${this.directory} cannot be read or written (${why})`
      throw new PolyVeilError('CONFIG_INVALID', message, {}, { cause })
    }
  }
}

/** Windows has no such rights. */
const isOpenToWriters = ({ mode }: Stats): boolean => process.platform !== 'win32' && (mode & 0o022) !== 0

/**
 * Reads a file, also by a link. Others than regular files could have no end, or never begin.
 *
 * @returns undefined when it does not exist
 */
async function readRegularFile(path: string): Promise<Uint8Array | undefined> {
  const file = await openIfPresent(path)
  if (file === undefined) return undefined
  try {
    if (!(await file.stat()).isFile()) throw new DamagedTenant(path, 'is no regular file')
    const bytes = await atMost(MOST_BYTES + 1, file)
    if (bytes.length > MOST_BYTES) throw new DamagedTenant(path, `has more than ${MOST_BYTES} bytes`)
    return bytes
  } finally {
    await file.close()
  }
}

async function openIfPresent(path: string): Promise<FileHandle | undefined> {
  try {
    // Without O_NONBLOCK a named pipe keeps its reader waiting.
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function atMost(most: number, file: FileHandle): Promise<Uint8Array> {
  const bytes = new Uint8Array(most)
  let length = 0
  while (length < most) {
    const { bytesRead } = await file.read(bytes, length, most - length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return bytes.subarray(0, length)
}

const tooManyTokens = ({ tenant, tokens }: Tenant): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The tenant ${tenant} would have ${tokens.length} tokens, more than its file may hold`,
    { bytes: MOST_BYTES },
    { remedy: 'Use a further tenant, or delete revoked tokens from the file of this one.' },
  )

export { DIRECTORY as TENANT_DIRECTORY, ENDING as TENANT_ENDING }
