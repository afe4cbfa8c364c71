import type { Logger } from 'pino'
import { PolyVeilError } from '../../errors/index.ts'
import { isLoopback, openTenants } from '../access/open-tenants.ts'
import type { Tenants } from '../access/tenants.ts'
import type { ServerConfig } from '../config.ts'
import { listen } from '../listen.ts'
import type { App } from '../services.ts'
import { type BackupSource, Backups } from '../stores/backup.ts'
import { buildManagement } from './app.ts'
import type { ManagementOptions } from './options.ts'

export interface ManagementPortOptions
  extends Pick<ManagementOptions, 'config' | 'services' | 'lookForModels'> {
  /** What backups copy; absent where this process makes none. */
  readonly source?: BackupSource
  /** The tenants of the public port, where it needs tokens. */
  readonly tenants?: Tenants
  readonly logger: Logger
}

/** The management app, and what it alone needs. */
export class ManagementPort {
  readonly #app: App
  readonly #address: { readonly host: string; readonly port: number }
  readonly #ownTenants: Tenants | undefined

  private constructor(app: App, config: ServerConfig, port: number, ownTenants: Tenants | undefined) {
    this.#app = app
    this.#address = { host: config.managementHost, port }
    this.#ownTenants = ownTenants
  }

  /**
   * @returns undefined where the settings have no management port
   * @throws CONFIG_INVALID when it would need tokens, and there are none
   */
  static async open({
    config,
    source,
    tenants,
    logger,
    ...rest
  }: ManagementPortOptions): Promise<ManagementPort | undefined> {
    const { managementPort, backupDir } = config
    if (managementPort === undefined) return undefined
    const needsTokens = requireTokens(config)
    // The public port may be open.
    const ownTenants =
      needsTokens && tenants === undefined
        ? await openTenants({ ...config, access: 'tokens' }, logger)
        : undefined
    try {
      const admins = needsTokens ? (tenants ?? ownTenants) : undefined
      if (admins?.hasValid('admin') === false) throw noToken(config)
      const backups = backupDir && source ? new Backups(backupDir, source) : undefined
      await backups?.removeUnfinished().catch((err) => {
        logger.warn({ err }, 'What unfinished backups have left cannot be removed')
      })
      const app = await buildManagement({ config, ...rest, backups, tenants: admins, logger })
      return new ManagementPort(app, config, managementPort, ownTenants)
    } catch (error) {
      ownTenants?.close()
      throw error
    }
  }

  /** @returns its address @throws CONFIG_INVALID */
  listen(): Promise<string> {
    return listen(this.#app, this.#address)
  }

  async close(): Promise<void> {
    this.#ownTenants?.close()
    await this.#app.close()
  }
}

/** @throws CONFIG_INVALID when the port would be open to other machines */
function requireTokens({ managementHost, managementAccess }: ServerConfig): boolean {
  const isLocal = isLoopback(managementHost)
  if (managementAccess === 'open' && !isLocal) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The management port cannot be open on ${managementHost}, which other machines may reach`,
      { setting: 'managementAccess' },
      { remedy: 'Set managementHost to 127.0.0.1, or managementAccess to tokens.' },
    )
  }
  return managementAccess === 'tokens' || !isLocal
}

const noToken = ({ managementHost, dataDir }: ServerConfig): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The management port on ${managementHost} needs tokens, and none of the scope admin is valid`,
    { setting: 'managementHost' },
    { remedy: `Make one first: polyveil tokens create NAME --scope admin --data ${dataDir}` },
  )
