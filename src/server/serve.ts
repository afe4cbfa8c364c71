import { join } from 'node:path'
import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { inFile } from '../errors/index.ts'
import type { EngineMemory } from '../he-ops/engine.ts'
import { type Audit, auditTo } from './access/audit.ts'
import { AuditFile } from './access/audit-file.ts'
import { tenantOf } from './access/caller.ts'
import { ImageBudget } from './access/image-budget.ts'
import { isOpenByDefault, openTenants } from './access/open-tenants.ts'
import type { Tenants } from './access/tenants.ts'
import { buildApp } from './app.ts'
import type { LeftOutFile, ModelCatalogue } from './catalogue.ts'
import { megabytes, type ServerConfig } from './config.ts'
import { localHost } from './execution/local-host.ts'
import { listen } from './listen.ts'
import { ManagementPort } from './management/port.ts'
import { warnOfShortage } from './memory-need.ts'
import { Metrics } from './metrics/metrics.ts'
import { ModelDirectory } from './model-directory.ts'
import { createLogger } from './plugins/logging.ts'
import { ScheduledEngine } from './scheduling/scheduled-engine.ts'
import type { App } from './services.ts'
import { type DiskStorage, openDiskStorage } from './stores/disk-storage.ts'
import { loadFloodingKey } from './stores/flooding-key.ts'
import type { RemovalReason } from './stores/key-set-index.ts'
import { KeyStore } from './stores/key-store.ts'
import type { RemovedKeySet } from './stores/removals.ts'
import { StateDatabase } from './stores/state-database.ts'
import { StorageHealth } from './stores/storage-health.ts'
import { loggedName } from './stores/store-log.ts'
import { type WorkerObserver, WorkerPool } from './worker/pool.ts'

const MINUTE_MILLISECONDS = 60_000
/** Time to close connections and to stop workers, after running inferences had theirs. */
const CLOSING_MILLISECONDS = 15_000
const HOUR_MILLISECONDS = 60 * MINUTE_MILLISECONDS

export interface RunningServer {
  readonly app: App
  /** The address that it listens on, such as http://127.0.0.1:8080. */
  readonly url: string
  /** The address of the management port, if there is one. */
  readonly managementUrl?: string
  /** Circuit files that could not be served at the start. */
  readonly leftOut: readonly LeftOutFile[]
  /** Looks for new, changed and removed circuits now, and not only every `modelsPollSeconds`. */
  lookForModels(): Promise<void>
  /** Goes on in a new file of the name `auditLog`, after the one so far has been moved away. */
  reopenAuditLog(): void
  /** Refuses new requests, waits for running ones, and stops the workers. */
  close(): Promise<void>
}

/**
 * Starts the service inside this process: loads circuits and stored keys, starts workers, listens.
 *
 * @param logger by default one that writes to standard output
 * @throws CONFIG_INVALID when a directory, a circuit or the address is unusable
 */
export async function startServer(
  config: ServerConfig,
  logger: Logger = createLogger(config.logLevel),
): Promise<RunningServer> {
  warnOfShortage(config, logger)
  const directory = await ModelDirectory.open(config.modelsDir, logger)
  try {
    return await startWith(directory, config, logger)
  } catch (error) {
    await directory.close()
    throw error
  }
}

async function startWith(
  directory: ModelDirectory,
  config: ServerConfig,
  logger: Logger,
): Promise<RunningServer> {
  const { leftOut } = directory.models
  const auditFile = config.auditLog === undefined ? undefined : AuditFile.open(config.auditLog)
  const { app, management } = await openApp(config, directory, auditFile, logger).catch((error) => {
    auditFile?.close()
    throw error
  })
  const url = await listen(app, config)
  const managementUrl = await management?.listen().catch(async (error) => {
    await app.close()
    throw error
  })
  if (config.modelsPollSeconds > 0) directory.watch(config.modelsPollSeconds)
  const close = async (): Promise<void> => {
    await app.close()
    await directory.close()
  }
  const reopenAuditLog = (): void => reopen(auditFile, logger)
  return { app, url, managementUrl, leftOut, lookForModels: () => directory.look(), reopenAuditLog, close }
}

/** If it fails, lines go to the file so far. */
function reopen(auditFile: AuditFile | undefined, logger: Logger): void {
  try {
    auditFile?.reopen()
  } catch (err) {
    logger.error({ err }, 'The audit log cannot be opened anew')
  }
}

interface OpenedApp {
  readonly app: App
  /** Closed when the app closes. */
  readonly management?: ManagementPort
}

/** The app on what the data directory has. It unlocks the directory when it closes, or cannot be made. */
async function openApp(
  config: ServerConfig,
  directory: ModelDirectory,
  auditFile: AuditFile | undefined,
  logger: Logger,
): Promise<OpenedApp> {
  const storage = new StorageHealth(logger)
  const state = await StateDatabase.open(config.dataDir, storage)
  try {
    return await appOn(state, storage, config, directory, auditFile, logger)
  } catch (error) {
    storage.close()
    state.close()
    throw error
  }
}

async function appOn(
  state: StateDatabase,
  storage: StorageHealth,
  config: ServerConfig,
  directory: ModelDirectory,
  auditFile: AuditFile | undefined,
  logger: Logger,
): Promise<OpenedApp> {
  const { models } = directory
  const audit = auditFile === undefined ? auditTo(logger) : auditTo(auditFile.log, logger)
  const tenants = await openTenants(config, logger, ({ event, ...facts }) => audit(event, undefined, facts))
  const keySets = await openKeySets(config, logger, state, storage)
  const keys = await openKeyStore(config, logger, tenants, keySets, audit)
  const metrics = new Metrics()
  const floodingKey = await loadFloodingKey(config.dataDir)
  const engine = startEngine(config, floodingKey, models, logger, metrics.workers)
  const app = await buildApp({
    models,
    keys,
    storage,
    engine,
    host: localHost(engine, config),
    security: config,
    drainSeconds: config.shutdownSeconds,
    bodyBytes: megabytes(config.maxBodyMegabytes),
    trustProxy: config.trustProxy,
    tenants,
    isLocal: isOpenByDefault(config),
    budget: new ImageBudget(state),
    audit,
    metrics,
    hasMetrics: config.publicMetrics === 'on',
    logger,
    onClosed: async () => {
      tenants?.close()
      await keys.close()
      storage.close()
      state.close()
      auditFile?.close()
    },
  })
  const management = await ManagementPort.open({
    config,
    services: app.services,
    source: { dataDir: config.dataDir, state, files: keySets.bytes },
    lookForModels: () => directory.look(),
    tenants,
    logger,
  })
  app.addHook('onClose', async () => {
    await management?.close()
  })
  return { app, management }
}

/**
 * Runs `startServer` as the only task of this process, with a graceful end on SIGTERM, SIGINT and uncaught
 * errors. SIGHUP looks for new, changed and removed circuits, and opens the audit log anew. At a terminal it
 * ends the service: there it means that the terminal is closed.
 */
export async function serve(config: ServerConfig): Promise<RunningServer> {
  const server = await startServer(config)
  const { log } = server.app
  const delay = config.shutdownSeconds * 1000 + CLOSING_MILLISECONDS
  const looksAtHangup = !process.stdin.isTTY
  const onHangup = (): void => {
    server.reopenAuditLog()
    void server.lookForModels()
  }
  if (looksAtHangup) process.on('SIGHUP', onHangup)
  const { uninstall } = closeWithGrace(
    { delay, logger: log, skip: looksAtHangup ? ['beforeExit', 'SIGHUP'] : ['beforeExit'] },
    async ({ err, signal }) => {
      if (err) log.fatal({ err }, 'The process ends by a fault')
      else log.info({ signal }, 'Closing')
      await server.close()
    },
  )
  const close = async (): Promise<void> => {
    uninstall()
    process.off('SIGHUP', onHangup)
    await server.close()
  }
  return { ...server, close }
}

/** One owner leaves a quarter of the places to others, where there are several. */
const OWNER_SHARE = 0.75

function startEngine(
  config: ServerConfig,
  floodingKey: Uint8Array,
  models: ModelCatalogue,
  logger: Logger,
  observer: WorkerObserver,
): ScheduledEngine {
  const { workers, inferencesPerWorker: placesPerLane, queue, queueSeconds } = config
  return new ScheduledEngine(startWorkers(config, floodingKey, models, logger, observer), {
    placesPerLane,
    placesPerOwner: Math.ceil(OWNER_SHARE * workers * placesPerLane),
    mostPerOwner: config.maxInferencesPerAddress,
    mostPerKeySet: config.maxInferencesPerKeySet,
    laneBytes: megabytes(config.engineMegabytes),
    queue,
    queueSeconds,
    silenceMilliseconds: config.contendedTimeoutSeconds * 1000,
  })
}

const startWorkers = (
  { workers, threads, queue, workerKeyMegabytes, engineMegabytes }: ServerConfig,
  floodingKey: Uint8Array,
  models: ModelCatalogue,
  logger: Logger,
  observer: WorkerObserver,
): WorkerPool =>
  new WorkerPool({
    workers,
    queue,
    settings: {
      keyBytes: megabytes(workerKeyMegabytes),
      engineBytes: megabytes(engineMegabytes),
      threads,
      floodingKey,
    },
    served: () => models.versions.map(({ digest }) => digest),
    observer,
    onFault: (err) => logger.error({ err }, 'A worker ended unexpectedly'),
    onSession: ({ model, memory, threads }) =>
      logger.info(
        { model, threads, engineMegabytes: inMegabytes(memory) },
        'Keys and circuit are ready to run',
      ),
  })

/** To a tenth of a megabyte, 10^6 bytes. */
const inMegabytes = (memory: EngineMemory): Record<string, number> =>
  Object.fromEntries(Object.entries(memory).map(([part, bytes]) => [part, Math.round(bytes / 1e5) / 10]))

const keyDirectory = ({ dataDir }: ServerConfig): string => join(dataDir, 'keys')

const openKeySets = (
  config: ServerConfig,
  log: Logger,
  state: StateDatabase,
  health: StorageHealth,
): Promise<DiskStorage> => {
  const uploadsUntil = Date.now() + config.keyUploadMinutes * MINUTE_MILLISECONDS
  const options = { log, health, uploadsUntil }
  return inDataDirectory(config, () => openDiskStorage(keyDirectory(config), state.keySets, options))
}

function openKeyStore(
  config: ServerConfig,
  logger: Logger,
  tenants: Tenants | undefined,
  keySets: DiskStorage,
  audit: Audit,
): Promise<KeyStore> {
  const limits = {
    ttlMilliseconds: config.keyTtlHours * HOUR_MILLISECONDS,
    maxSets: config.maxKeySets,
    maxSetBytes: megabytes(config.maxKeySetMegabytes),
    maxTotalBytes: megabytes(config.maxStoredMegabytes),
    uploadMilliseconds: config.keyUploadMinutes * MINUTE_MILLISECONDS,
    maxUploadsPerOwner: config.maxUploadsPerAddress,
    maxSetsPerOwner: config.maxKeySetsPerAddress,
    setsOf: (owner: string) => tenants?.get(tenantOf(owner) ?? '')?.quota.keySets,
    maxBytesPerOwner: megabytes(config.maxStoredMegabytesPerAddress),
  }
  return inDataDirectory(config, () => KeyStore.open(keySets, limits, Date.now, logger, recordedIn(audit)))
}

/** Removals that are recorded with the request for them. */
const BY_REQUEST: readonly RemovalReason[] = ['deleted by its client', 'deleted by an operator']

const recordedIn =
  (audit: Audit) =>
  ({ name, reason, owner }: RemovedKeySet): void => {
    if (BY_REQUEST.includes(reason)) return
    audit('key set removed', undefined, { tenant: tenantOf(owner), keySet: loggedName(name), reason })
  }

const inDataDirectory = <T>(config: ServerConfig, action: () => Promise<T>): Promise<T> =>
  inFile({ name: `The data directory ${keyDirectory(config)}` }, action)
