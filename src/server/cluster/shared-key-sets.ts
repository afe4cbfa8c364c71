import { inDataDirectory, keyDirectory } from '../key-store-settings.ts'
import type { ServiceBase } from '../service-parts.ts'
import type { KeySetStorage } from '../stores/key-set-bytes.ts'
import type { StorageHealth } from '../stores/storage-health.ts'
import type { SharedRedis } from './exchange/redis.ts'
import { PieceFiles } from './key-sets/piece-files.ts'
import { RedisIndex } from './key-sets/redis-index.ts'

/**
 * Opens the key sets that the processes of a cluster share: records in Redis, and bytes in the data
 * directory, which all of them see.
 *
 * @throws CONFIG_INVALID when the directory cannot be used
 */
export async function openSharedKeySets(
  redis: SharedRedis,
  { config }: ServiceBase,
  health: StorageHealth,
): Promise<KeySetStorage> {
  const index = new RedisIndex(redis.commands, { prefix: redis.name('keys:') })
  const bytes = await inDataDirectory(config, () => PieceFiles.open(keyDirectory(config), health))
  return { index, bytes }
}
