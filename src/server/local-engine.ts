import type { EngineMemory } from '../he-ops/engine.ts'
import { megabytes, type ServerConfig } from './config.ts'
import { ScheduledEngine } from './scheduling/scheduled-engine.ts'
import type { ServiceBase } from './service-parts.ts'
import { loadFloodingKey } from './stores/flooding-key.ts'
import { WorkerPool } from './worker/pool.ts'

/** One owner leaves a quarter of the places to others, where there are several. */
const OWNER_SHARE = 0.75

/** Inferences that the engine of one process computes for at once. */
export const placesOf = ({ workers, inferencesPerWorker }: ServerConfig): number =>
  workers * inferencesPerWorker

/**
 * Starts the workers of this process.
 *
 * @throws CONFIG_INVALID when the flooding key of the data directory cannot be read or made
 */
export async function startEngine(base: ServiceBase): Promise<ScheduledEngine> {
  const { config } = base
  const floodingKey = await loadFloodingKey(config.dataDir)
  return new ScheduledEngine(startWorkers(base, floodingKey), {
    placesPerLane: config.inferencesPerWorker,
    placesPerOwner: Math.ceil(OWNER_SHARE * placesOf(config)),
    mostPerOwner: config.maxInferencesPerAddress,
    mostPerKeySet: config.maxInferencesPerKeySet,
    laneBytes: megabytes(config.engineMegabytes),
    queue: config.queue,
    queueSeconds: config.queueSeconds,
    silenceMilliseconds: config.contendedTimeoutSeconds * 1000,
  })
}

function startWorkers(
  { config, directory, metrics, logger }: ServiceBase,
  floodingKey: Uint8Array,
): WorkerPool {
  const { workers, threads, queue, workerKeyMegabytes, engineMegabytes } = config
  return new WorkerPool({
    workers,
    queue,
    settings: {
      keyBytes: megabytes(workerKeyMegabytes),
      engineBytes: megabytes(engineMegabytes),
      threads,
      floodingKey,
    },
    served: () => directory.models.versions.map(({ digest }) => digest),
    observer: metrics.workers,
    onFault: (err) => logger.error({ err }, 'A worker ended unexpectedly'),
    onSession: ({ model, memory, threads }) =>
      logger.info(
        { model, threads, engineMegabytes: inMegabytes(memory) },
        'Keys and circuit are ready to run',
      ),
  })
}

/** To a tenth of a megabyte, 10^6 bytes. */
const inMegabytes = (memory: EngineMemory): Record<string, number> =>
  Object.fromEntries(Object.entries(memory).map(([part, bytes]) => [part, Math.round(bytes / 1e5) / 10]))
