import type { Logger } from 'pino'
import type { CkksParameters } from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { ImageBudget } from '../../access/image-budget.ts'
import type { HostParts } from '../../app.ts'
import { localHost } from '../../execution/local-host.ts'
import type { EngineAccess } from '../../inference/engine.ts'
import type { QueryKeySet } from '../../inference/host.ts'
import { inferenceLimits } from '../../inference/limits.ts'
import { openKeyStore } from '../../key-store-settings.ts'
import { placesOf, startEngine } from '../../local-engine.ts'
import type { ServedModel } from '../../models/catalogue.ts'
import type { ModelDirectory } from '../../models/model-directory.ts'
import type { ScheduledEngine } from '../../scheduling/scheduled-engine.ts'
import type { ServiceBase, ServiceParts } from '../../service-parts.ts'
import type { KeyStore } from '../../stores/key-store.ts'
import { StorageHealth } from '../../stores/storage-health.ts'
import { type Cluster, joinCluster } from '../cluster.ts'
import type { WorkerFacts } from '../exchange/peers.ts'
import { SharedImageCounts } from '../image-counts.ts'
import { handOver, moveOverdue } from '../queue/overdue.ts'
import { openSharedKeySets } from '../shared-key-sets.ts'
import { HeldInferences } from './held-inferences.ts'
import { JobTaker } from './job-taker.ts'
import { serveWorkerCalls } from './worker-calls.ts'

/**
 * The parts of a worker process: it takes whole inferences from the queue, and holds them to their end.
 *
 * @throws CONFIG_INVALID as `joinCluster`, or when the data directory is unusable
 */
export const openWorker = async (base: ServiceBase): Promise<ServiceParts> =>
  openWorkerOn(base, await startEngine(base))

/** As `openWorker`, on an engine that runs. */
export async function openWorkerOn(base: ServiceBase, engine: ScheduledEngine): Promise<ServiceParts> {
  let taker: JobTaker | undefined
  const { threads } = base.config
  const cluster = await joinCluster(base, (name) => factsOf(name, threads, engine, taker))
  try {
    const storage = new StorageHealth(base.logger)
    const { storage: keySets, stop } = await openSharedKeySets(cluster.redis, base, storage)
    const keys = await openKeyStore(base, keySets)
    const budget = new ImageBudget(new SharedImageCounts(cluster.redis))
    const tell = (): void => void cluster.peers.beat()
    return {
      keys,
      storage,
      engine,
      budget,
      host: (parts) => {
        const host = localHost(engine, base.config)(parts)
        taker = takerOf(cluster, base, { ...parts, budget, engine, host, keys })
        return host
      },
      open: (intake) => {
        taker?.open(intake)
        tell()
      },
      pause: async () => {
        await taker?.close()
        await cluster.peers.beat()
        await leaveQueue(cluster, base.logger)
      },
      close: async () => {
        stop()
        await keys.close()
        storage.close()
        await cluster.queue.stop()
        await leaveQueue(cluster, base.logger)
        await cluster.close()
      },
    }
  } catch (error) {
    await cluster.close()
    throw error
  }
}

async function leaveQueue(cluster: Cluster, log: Logger): Promise<void> {
  await handOver(cluster, cluster.calls.self).catch((err) =>
    log.warn({ err }, 'What waits for this worker process cannot be given to others'),
  )
}

const factsOf = (
  name: string,
  threads: number,
  engine: EngineAccess,
  taker: JobTaker | undefined,
): WorkerFacts => ({
  name,
  accepts: taker?.isOpen === true && engine.ready,
  freePlaces: taker?.freePlaces ?? 0,
  threads,
  ...engine.load,
})

interface TakerParts extends Pick<HostParts, 'budget' | 'audit'> {
  readonly engine: ScheduledEngine
  readonly host: ReturnType<ReturnType<typeof localHost>>
  readonly keys: KeyStore
}

function takerOf(
  cluster: Cluster,
  base: ServiceBase,
  { engine, host, keys, budget, audit }: TakerParts,
): JobTaker {
  const { calls, holders, peers } = cluster
  const { config, directory, logger } = base
  const keysOf = (name: string): QueryKeySet => ({
    name,
    locate: () => keys.locationNamed(name),
    discard: () => keys.discardNamed(name),
  })
  const inferences = new HeldInferences({
    ...cluster,
    host,
    modelOf: (digest) => modelOf(directory, digest),
    keysOf: (name) => {
      // A worker that has begun with the keys of a set gets its further inferences.
      void holders.note(name, calls.self).catch(() => {})
      return keysOf(name)
    },
    budget,
    audit,
    limits: inferenceLimits(config),
    log: logger,
  })
  const taker = new JobTaker({
    ...cluster,
    inferences,
    load: () => engine.load,
    places: placesOf(config),
    findWork: () => moveOverdue(cluster, calls.self),
    onChange: () => void peers.beat(),
    log: logger,
  })
  serveWorkerCalls({
    calls,
    peers,
    host,
    engine,
    find: (name) => inferences.find(name),
    keysOf,
    parametersOf: (digest) => parametersOf(directory, digest),
    wake: taker.wake,
  })
  return taker
}

/** @throws PARAMETERS_MISMATCH when no circuit has them, also none that was added since the last look */
async function parametersOf(directory: ModelDirectory, digest: string): Promise<CkksParameters> {
  try {
    return directory.models.parameters(digest)
  } catch {
    await directory.look()
    return directory.models.parameters(digest)
  }
}

/** A circuit may have been added since this process has last looked. */
async function modelOf(directory: ModelDirectory, digest: string): Promise<ServedModel> {
  const find = (): ServedModel | undefined =>
    directory.models.versions.find((model) => model.digest === digest)
  const known = find()
  if (known) return known
  await directory.look()
  const found = find()
  if (found) return found
  throw new PolyVeilError('MODEL_UNAVAILABLE', 'The worker process does not have the circuit of this model')
}
