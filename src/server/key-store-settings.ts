import { join } from 'node:path'
import { inFile, PolyVeilError } from '../errors/index.ts'
import type { Audit } from './access/audit.ts'
import { tenantOf } from './access/caller.ts'
import { megabytes, type ServerConfig } from './config.ts'
import type { ServiceBase } from './service-parts.ts'
import type { KeySetStorage } from './stores/key-set-bytes.ts'
import type { RemovalReason } from './stores/key-set-index.ts'
import { KeyStore } from './stores/key-store.ts'
import type { KeyStoreLimits } from './stores/key-store-limits.ts'
import type { RemovedKeySet } from './stores/removals.ts'
import { loggedName } from './stores/store-log.ts'

export const MINUTE_MILLISECONDS = 60_000
const HOUR_MILLISECONDS = 60 * MINUTE_MILLISECONDS

export const keyDirectory = ({ dataDir }: ServerConfig): string => join(dataDir, 'keys')

/** Time for which a key set is kept. */
export const keyMilliseconds = ({ keyTtlHours }: ServerConfig): number => keyTtlHours * HOUR_MILLISECONDS

/** Opens the key store of a service, with the limits of its settings. @throws CONFIG_INVALID */
export function openKeyStore(base: ServiceBase, storage: KeySetStorage): Promise<KeyStore> {
  const { config, logger, audit } = base
  requireRoomForOne(config)
  return inDataDirectory(config, () =>
    KeyStore.open(storage, limitsOf(base), Date.now, logger, recordedIn(audit)),
  )
}

/** Without it the largest key sets would be told to come again for ever. */
function requireRoomForOne({ maxStoredMegabytes, maxKeySetMegabytes }: ServerConfig): void {
  if (maxStoredMegabytes >= maxKeySetMegabytes) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `All key sets may take ${maxStoredMegabytes} MB, and one key set up to ${maxKeySetMegabytes} MB`,
    { setting: 'maxKeySetMegabytes' },
    { remedy: 'Raise maxStoredMegabytes, or lower maxKeySetMegabytes.' },
  )
}

export const inDataDirectory = <T>(config: ServerConfig, action: () => Promise<T>): Promise<T> =>
  inFile({ name: `The data directory ${keyDirectory(config)}` }, action)

const limitsOf = ({ config, tenants }: ServiceBase): KeyStoreLimits => ({
  ttlMilliseconds: keyMilliseconds(config),
  maxSets: config.maxKeySets,
  maxSetBytes: megabytes(config.maxKeySetMegabytes),
  maxTotalBytes: megabytes(config.maxStoredMegabytes),
  uploadMilliseconds: config.keyUploadMinutes * MINUTE_MILLISECONDS,
  maxUploadsPerOwner: config.maxUploadsPerAddress,
  maxSetsPerOwner: config.maxKeySetsPerAddress,
  setsOf: (owner: string) => tenants?.get(tenantOf(owner) ?? '')?.quota.keySets,
  maxBytesPerOwner: megabytes(config.maxStoredMegabytesPerAddress),
})

/** Removals that are recorded with the request for them. */
const BY_REQUEST: readonly RemovalReason[] = ['deleted by its client', 'deleted by an operator']

const recordedIn =
  (audit: Audit) =>
  ({ name, reason, owner }: RemovedKeySet): void => {
    if (BY_REQUEST.includes(reason)) return
    audit('key set removed', undefined, { tenant: tenantOf(owner), keySet: loggedName(name), reason })
  }
