import { join } from 'node:path'
import { PolyVeilError } from '../../errors/index.ts'
import { megabytes, type ServerConfig } from '../config.ts'
import { inDataDirectory, keyDirectory, keyMilliseconds } from '../key-store-settings.ts'
import type { ServiceBase } from '../service-parts.ts'
import type { KeySetStorage } from '../stores/key-set-bytes.ts'
import type { KeySetIndex } from '../stores/key-set-index.ts'
import type { StorageHealth } from '../stores/storage-health.ts'
import type { SharedRedis } from './exchange/redis.ts'
import { removeOrphans } from './key-sets/orphans.ts'
import { PieceFiles } from './key-sets/piece-files.ts'
import { openSharedStorage } from './key-sets/shared-storage.ts'

const DAY_MILLISECONDS = 86_400_000

export interface SharedKeySets {
  readonly storage: KeySetStorage
  /** Ends what is done once a day. */
  stop(): void
}

/**
 * Opens the key sets that the processes of a cluster share: records in Redis, and bytes in the data
 * directory, which all of them see, or in S3.
 *
 * @throws CONFIG_INVALID when the directory or the bucket cannot be used
 */
export async function openSharedKeySets(
  redis: SharedRedis,
  base: ServiceBase,
  health: StorageHealth,
): Promise<SharedKeySets> {
  const storage = await openStorage(redis, base.config, health)
  const { index, bytes } = storage
  const stop = bytes instanceof PieceFiles ? removeOrphansDaily(index, bytes, base) : () => {}
  return { storage, stop }
}

/** Bytes of sets whose records Redis has lost would stay for ever. @returns a function that ends it */
function removeOrphansDaily(
  index: KeySetIndex,
  bytes: PieceFiles,
  { config, logger }: ServiceBase,
): () => void {
  const remove = async (): Promise<void> => {
    // A service with a wrong Redis must not remove what another one uses.
    const removed = await removeOrphans(index, bytes, Date.now() - keyMilliseconds(config))
    if (removed > 0) logger.warn({ removed }, 'Removed bytes of key sets that have no record')
  }
  const timer = setInterval(() => {
    remove().catch((err) => logger.error({ err }, 'Bytes of key sets without a record cannot be removed'))
  }, DAY_MILLISECONDS)
  timer.unref()
  return () => clearInterval(timer)
}

async function openStorage(
  redis: SharedRedis,
  config: ServerConfig,
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
