import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { fileNames, makeDirectory, readIfPresent, removeAbandoned, replaceFile } from '../../files/atomic.ts'
import { requireTenantName, type Tenant, tenantSchema } from './tenant.ts'

const DIRECTORY = 'tenants'
const ENDING = '.json'

/**
 * Tenants in a directory, one file each. The command line writes them while the service runs, so every file
 * is replaced as a whole.
 */
export class TenantFiles {
  readonly #directory: string

  /** @param dataDirectory the data directory of the service */
  constructor(dataDirectory: string) {
    this.#directory = join(dataDirectory, DIRECTORY)
  }

  /** The names of all tenants, sorted. */
  async names(): Promise<string[]> {
    const files = await this.#orRefused(() => fileNames(this.#directory))
    return files
      .filter((file) => file.endsWith(ENDING))
      .map((file) => file.slice(0, -ENDING.length))
      .sort()
  }

  /** A text that changes whenever the file of a tenant does. */
  async version(name: string): Promise<string> {
    const found = await stat(this.#path(name)).catch(() => undefined)
    return found === undefined ? 'absent' : [found.mtimeMs, found.size, found.ino].join()
  }

  /** @throws CONFIG_INVALID when the file is damaged or cannot be read */
  async read(name: string): Promise<Tenant | undefined> {
    const bytes = await this.#orRefused(() => readIfPresent(this.#directory, name + ENDING))
    if (bytes === undefined) return undefined
    try {
      const tenant = tenantSchema.parse(JSON.parse(new TextDecoder().decode(bytes)))
      if (tenant.tenant === name) return tenant
    } catch {
      // Reported below: the text may have anything in it.
    }
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `${this.#path(name)} is not as polyveil tokens writes it`,
      {},
      { remedy: 'Restore it from a backup, or delete it and create new tokens for this tenant.' },
    )
  }

  /** Replaces the file of a tenant, or adds it. @throws CONFIG_INVALID */
  async save(tenant: Tenant): Promise<void> {
    requireTenantName(tenant.tenant)
    const bytes = new TextEncoder().encode(`${JSON.stringify(tenant, null, 2)}\n`)
    await this.#orRefused(async () => {
      await makeDirectory(this.#directory)
      await removeAbandoned(this.#directory, (name) => name.endsWith(ENDING))
      await replaceFile(this.#directory, tenant.tenant + ENDING, bytes)
    })
  }

  #path(name: string): string {
    return join(this.#directory, name + ENDING)
  }

  async #orRefused<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      const message = `The tenants in ${this.#directory} cannot be read or written (${code})`
      throw new PolyVeilError('CONFIG_INVALID', message, {}, { cause })
    }
  }
}
