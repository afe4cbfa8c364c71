import { join } from 'node:path'
import type { Logger } from 'pino'
import { PolyVeilError } from '../errors/index.ts'
import { AuditFile } from './access/audit-file.ts'
import type { ServerConfig } from './config.ts'
import { openEmbedded } from './embedded.ts'
import { listen } from './listen.ts'
import { warnOfShortage } from './memory-need.ts'
import { warnOfNeeds } from './model-needs.ts'
import type { LeftOutFile } from './models/catalogue.ts'
import { ModelDirectory } from './models/model-directory.ts'
import { type OpenedApp, openApp } from './open-app.ts'
import { createLogger } from './plugins/logging.ts'
import type { ServiceBase, ServiceParts } from './service-parts.ts'
import type { App } from './services.ts'

/** A process of the service that runs. */
export interface RunningProcess {
  readonly app: App
  /** The address of the management port, if there is one. */
  readonly managementUrl?: string
  /** Circuit files that could not be served at the start. */
  readonly leftOut: readonly LeftOutFile[]
  /** Looks for new, changed and removed circuits now, and not only every `modelsPollSeconds`. */
  lookForModels(): Promise<void>
  /** Goes on in a new file of the name `auditLog`, after the one so far has been moved away. */
  reopenAuditLog(): void
  /** Refuses new work, waits for what runs, and stops. */
  close(): Promise<void>
}

export interface RunningServer extends RunningProcess {
  /** The address that it listens on, such as http://127.0.0.1:8080. */
  readonly url: string
}

/**
 * Starts the service inside this process: loads circuits and stored keys, starts workers, listens. With the
 * setting `redis` it starts no workers: worker processes execute the circuits.
 *
 * @param logger by default one that writes to standard output
 * @throws CONFIG_INVALID when a directory, a circuit, the address or Redis is unusable
 */
export async function startServer(
  config: ServerConfig,
  logger: Logger = createLogger(config.logLevel),
): Promise<RunningServer> {
  if (config.redis === undefined) {
    requireOneProcess(config)
    warnOfShortage(config, logger)
  }
  const openParts =
    config.redis === undefined ? openEmbedded : (await import('./cluster/front/front.ts')).openFront
  const started = await start(config, logger, openParts)
  try {
    return { ...started, url: await listen(started.app, config) }
  } catch (error) {
    await started.close()
    throw error
  }
}

/** One process keeps key sets in its data directory. */
function requireOneProcess({ keyStorage }: ServerConfig): void {
  if (keyStorage === undefined) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'Key sets can be in S3 for a service on several machines alone',
    { setting: 'keyStorage' },
    { remedy: 'Set redis, too, or leave keyStorage out.' },
  )
}

/**
 * Starts a worker process of a service on several machines inside this process. It takes inferences from
 * Redis, and has no port but that of management.
 *
 * @param logger by default one that writes to standard output
 * @throws CONFIG_INVALID when a directory, a circuit or Redis is unusable, or there is no setting `redis`
 */
export async function startWorker(
  config: ServerConfig,
  logger: Logger = createLogger(config.logLevel),
): Promise<RunningProcess> {
  warnOfShortage(config, logger)
  const { openWorker } = await import('./cluster/worker/worker-process.ts')
  const { parts, ...started } = await start(config, logger, openWorker)
  parts.open?.(started.app.services.intake)
  const close = async (): Promise<void> => {
    await parts.pause?.()
    await started.close()
  }
  return { ...started, close }
}

async function start(
  config: ServerConfig,
  logger: Logger,
  openParts: (base: ServiceBase) => Promise<ServiceParts>,
): Promise<RunningProcess & Pick<OpenedApp, 'parts'>> {
  requireNoBackups(config)
  const directory = await openModels(config, logger)
  try {
    return await startWith(directory, config, logger, openParts)
  } catch (error) {
    await directory.close()
    throw error
  }
}

async function startWith(
  directory: ModelDirectory,
  config: ServerConfig,
  logger: Logger,
  openParts: (base: ServiceBase) => Promise<ServiceParts>,
): Promise<RunningProcess & Pick<OpenedApp, 'parts'>> {
  const { leftOut, versions } = directory.models
  warnOfNeeds(versions, config, logger)
  const auditFile = config.auditLog === undefined ? undefined : AuditFile.open(config.auditLog)
  const { app, parts, management } = await openApp(config, directory, auditFile, logger, openParts)
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
  return { app, parts, managementUrl, leftOut, lookForModels: () => directory.look(), reopenAuditLog, close }
}

/** Backups are copies of one data directory and its database. */
function requireNoBackups({ redis, backupDir }: ServerConfig): void {
  if (redis === undefined || backupDir === undefined) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'A service on several machines makes no backups by itself',
    { setting: 'backupDir' },
    { remedy: 'Leave backupDir out, and back up Redis and the data directory with their own means.' },
  )
}

/** The models directory, or a local copy of the bucket that the settings name. */
async function openModels(
  { modelsDir, cacheDir, s3Endpoint }: ServerConfig,
  logger: Logger,
): Promise<ModelDirectory> {
  if (!modelsDir.startsWith('s3://')) return ModelDirectory.open(modelsDir, logger)
  const { CircuitMirror } = await import('./s3/circuit-mirror.ts')
  const copy = join(cacheDir, 'circuits')
  const mirror = await CircuitMirror.open({ address: modelsDir, endpoint: s3Endpoint }, copy)
  return ModelDirectory.open(copy, logger, () => mirror.look())
}

/** If it fails, lines go to the file so far. */
function reopen(auditFile: AuditFile | undefined, logger: Logger): void {
  try {
    auditFile?.reopen()
  } catch (err) {
    logger.error({ err }, 'The audit log cannot be opened anew')
  }
}
