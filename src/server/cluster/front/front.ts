import { context } from '@opentelemetry/api'
import { ImageBudget } from '../../access/image-budget.ts'
import { openKeyStore } from '../../key-store-settings.ts'
import { watchSending } from '../../metrics/inference-watch.ts'
import type { ServiceBase, ServiceParts } from '../../service-parts.ts'
import { StorageHealth } from '../../stores/storage-health.ts'
import { type Cluster, joinCluster } from '../cluster.ts'
import { SharedImageCounts } from '../image-counts.ts'
import { QueueClock } from '../queue/queue-clock.ts'
import { openSharedKeySets } from '../shared-key-sets.ts'
import { RemoteEngine } from './remote-engine.ts'
import { RemoteHost } from './remote-host.ts'
import { SharedRequestCounts } from './request-counts.ts'

/**
 * The parts of an HTTP process, which has no state of its own: any of them can answer any request.
 *
 * @throws CONFIG_INVALID as `joinCluster`, or when the data directory is unusable
 */
export async function openFront(base: ServiceBase): Promise<ServiceParts> {
  const cluster = await joinCluster(base)
  try {
    return await partsOn(cluster, base)
  } catch (error) {
    await cluster.close()
    throw error
  }
}

async function partsOn(cluster: Cluster, base: ServiceBase): Promise<ServiceParts> {
  const { redis } = cluster
  const storage = new StorageHealth(base.logger)
  const { storage: keySets, stop } = await openSharedKeySets(redis, base, storage)
  const keys = await openKeyStore(base, keySets)
  return {
    keys,
    storage,
    engine: new RemoteEngine(cluster),
    host: (parts) =>
      new RemoteHost({
        ...cluster,
        ...parts,
        clock: new QueueClock(redis),
        onSending: (model) => watchSending(parts.metrics, model, context.active()),
      }),
    budget: new ImageBudget(new SharedImageCounts(redis)),
    counts: new SharedRequestCounts(redis),
    close: async () => {
      stop()
      await keys.close()
      storage.close()
      await cluster.close()
    },
  }
}
