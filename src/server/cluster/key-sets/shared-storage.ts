import { PolyVeilError } from '../../../errors/index.ts'
import type { S3Options } from '../../s3/s3-objects.ts'
import type { KeySetStorage } from '../../stores/key-set-bytes.ts'
import type { StorageHealth } from '../../stores/storage-health.ts'
import type { RedisConnection } from '../exchange/redis-connection.ts'
import { PieceFiles } from './piece-files.ts'
import { RedisIndex, type RedisIndexOptions } from './redis-index.ts'
import { S3Pieces, type S3PiecesOptions } from './s3-pieces.ts'

export interface SharedStorageOptions
  extends RedisIndexOptions,
    Partial<Omit<S3Options, 'address'> & Pick<S3PiecesOptions, 'cacheDirectory' | 'cacheBytes'>> {
  /** A directory that all processes see, or `s3://BUCKET/PREFIX`. The latter needs a cache. */
  readonly place: string
  readonly health: StorageHealth
}

const S3 = 's3://'

/**
 * Opens key sets that several processes share.
 *
 * @param connection of ioredis; stays the caller's
 * @throws CONFIG_INVALID when the place cannot be used
 */
export async function openSharedStorage(
  connection: RedisConnection,
  {
    place,
    health,
    cacheDirectory,
    cacheBytes,
    endpoint,
    region,
    credentials,
    ...options
  }: SharedStorageOptions,
): Promise<KeySetStorage> {
  const index = new RedisIndex(connection, options)
  if (!place.startsWith(S3)) return { index, bytes: await PieceFiles.open(place, health) }
  if (cacheDirectory === undefined || cacheBytes === undefined) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'Key sets in S3 need a local directory for copies, and its size',
    )
  }
  const s3 = { address: place, endpoint, region, credentials }
  const bytes = await S3Pieces.open({ ...s3, cacheDirectory, cacheBytes, health })
  index.watch((name) => void bytes.drop(name))
  return { index, bytes }
}
