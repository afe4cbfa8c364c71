import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { megabytes, type ServerConfig } from '../config.ts'
import { inDataDirectory, keyDirectory } from '../key-store-settings.ts'
import type { ServiceBase } from '../service-parts.ts'
import type { KeySetStorage } from '../stores/key-set-bytes.ts'
import type { StorageHealth } from '../stores/storage-health.ts'
import type { SharedRedis } from './exchange/redis.ts'
import { openSharedStorage } from './key-sets/shared-storage.ts'

/**
 * Opens the key sets that the processes of a cluster share: records in Redis, and bytes in the data
 * directory, which all of them see, or in S3.
 *
 * @throws CONFIG_INVALID when the directory or the bucket cannot be used
 */
export async function openSharedKeySets(
  redis: SharedRedis,
  { config }: ServiceBase,
  health: StorageHealth,
): Promise<KeySetStorage> {
  const options = { prefix: redis.name('keys:'), health }
  const { keyStorage: place, s3Endpoint: endpoint } = config
  if (place === undefined) {
    return inDataDirectory(config, () =>
      openSharedStorage(redis.commands, { ...options, place: keyDirectory(config) }),
    )
  }
  requireCache(config)
  return openSharedStorage(redis.commands, {
    ...options,
    place,
    endpoint,
    cacheDirectory: join(config.cacheDir, 'keys'),
    cacheBytes: megabytes(config.cacheMegabytes),
  })
}

/** A key set that is checked or used is on this machine as a whole. */
function requireCache({ cacheMegabytes, maxKeySetMegabytes }: ServerConfig): void {
  if (cacheMegabytes >= maxKeySetMegabytes) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `Copies of key sets may take ${cacheMegabytes} MB, and one key set up to ${maxKeySetMegabytes} MB`,
    { setting: 'cacheMegabytes' },
    { remedy: 'Raise cacheMegabytes, or lower maxKeySetMegabytes.' },
  )
}
