import { join } from 'node:path'
import type { Test } from 'tap'
import { PieceFiles } from '../../../src/server/cluster/key-sets/piece-files.ts'
import { RedisIndex, type RedisIndexOptions } from '../../../src/server/cluster/key-sets/redis-index.ts'
import type { KeySetBytes } from '../../../src/server/stores/key-set-bytes.ts'
import { withKeySet } from '../../../src/server/stores/key-set-source.ts'
import { KeyStore } from '../../../src/server/stores/key-store.ts'
import type { KeyStoreLimits } from '../../../src/server/stores/key-store-limits.ts'
import type { RemovedKeySet } from '../../../src/server/stores/removals.ts'
import { StorageHealth } from '../../../src/server/stores/storage-health.ts'
import { RedisServer } from '../../support/redis.ts'

export const PREFIX = 'test:'
export const DIGEST = { digest: 'b'.repeat(64) }
export const keySet = (bytes: number) => ({ parametersDigest: 'a'.repeat(64), galoisElements: [3, 9], bytes })

const LIMITS: KeyStoreLimits = {
  ttlMilliseconds: 1_000_000,
  uploadMilliseconds: 1000,
  maxSets: 100,
  maxSetBytes: 1e8,
  maxTotalBytes: 1e9,
}

export async function* inChunks(bytes: Uint8Array, size = 65_537): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size)
}

export interface OpenedStore {
  readonly store: KeyStore
  readonly bytes: KeySetBytes
  readonly index: RedisIndex
  /** What this store has removed itself. */
  readonly removed: RemovedKeySet[]
}

/** One Redis and one directory, and stores on them as processes have them: with a connection each. */
export class SharedStores {
  readonly redis: RedisServer
  readonly directory: string
  readonly clock = { now: 1e12 }
  readonly #test: Test

  private constructor(test: Test, redis: RedisServer) {
    this.#test = test
    this.redis = redis
    this.directory = join(test.testdir(), 'keys')
  }

  static async start(test: Test): Promise<SharedStores> {
    const redis = await RedisServer.start()
    test.teardown(() => redis.close())
    return new SharedStores(test, redis)
  }

  async open(
    limits: Partial<KeyStoreLimits> = {},
    options: RedisIndexOptions = {},
    given?: KeySetBytes,
  ): Promise<OpenedStore> {
    const now = (): number => this.clock.now
    const index = new RedisIndex(this.redis.connect(), { prefix: PREFIX, now, ...options })
    const health = new StorageHealth()
    const bytes = given ?? (await PieceFiles.open(this.directory, health))
    const removed: RemovedKeySet[] = []
    const onRemoved = (each: RemovedKeySet): void => void removed.push(each)
    const store = await KeyStore.open({ index, bytes }, { ...LIMITS, ...limits }, now, undefined, onRemoved)
    this.#test.teardown(() => {
      health.close()
      return store.close()
    })
    return { store, bytes, index, removed }
  }
}

/** Announces, uploads and completes a set. @returns its id */
export async function completeSet(store: KeyStore, bytes: Uint8Array, owner: string, network = owner) {
  const { id } = await store.create(keySet(bytes.length), owner, network)
  await store.append(id, 0, inChunks(bytes))
  await store.complete(id, async () => DIGEST)
  return id
}

/** All bytes of a set, as a worker reads them. */
export async function storedBytes(store: KeyStore, id: string): Promise<Uint8Array> {
  using located = await store.location(id)
  return withKeySet(located.location, (source) => source.read(0, source.size))
}
