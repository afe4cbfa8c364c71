import { isIP } from 'node:net'
import type { Logger } from 'pino'
import type { ServerConfig } from '../config.ts'
import type { TenantChange } from './tenant-changes.ts'
import { TenantFiles } from './tenant-files.ts'
import { Tenants } from './tenants.ts'

/** A token that is revoked is refused after this time at the latest. */
const LOOK_MILLISECONDS = 1000

/**
 * The tenants of a service, read again whenever `polyveil tokens` has changed them.
 *
 * @param onChange gets what an operator changes while the service runs
 * @returns undefined where the service is open
 * @throws CONFIG_INVALID when the tenants cannot be read
 */
export async function openTenants(
  config: Pick<ServerConfig, 'access' | 'host' | 'trustProxy' | 'dataDir'>,
  logger: Logger,
  onChange?: (change: TenantChange) => void,
): Promise<Tenants | undefined> {
  if (accessOf(config) === 'open') {
    logger.info('The service is open: clients need no token')
    return undefined
  }
  const tenants = new Tenants(new TenantFiles(config.dataDir), logger, Date.now, onChange)
  await tenants.refresh()
  if (tenants.valid === 0) {
    logger.warn('No token is valid yet, so all clients are refused; polyveil tokens create makes one')
  }
  tenants.look(LOOK_MILLISECONDS)
  return tenants
}

/** Only loopback addresses keep others out. A proxy in front lets them in. */
export function accessOf({
  access,
  host,
  trustProxy,
}: Pick<ServerConfig, 'access' | 'host' | 'trustProxy'>): 'tokens' | 'open' {
  if (access !== undefined) return access
  const hasProxy = trustProxy !== false && trustProxy !== 0
  return isLoopback(host) && !hasProxy ? 'open' : 'tokens'
}

/**
 * Whether the service is open because its address is a loopback address, and not because it was told to be.
 */
export const isOpenByDefault = (config: Pick<ServerConfig, 'access' | 'host' | 'trustProxy'>): boolean =>
  config.access === undefined && accessOf(config) === 'open'

/** Whether a host is this machine only: a loopback address, or the name that stands for them. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
