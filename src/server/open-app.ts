import type { Logger } from 'pino'
import { auditTo } from './access/audit.ts'
import type { AuditFile } from './access/audit-file.ts'
import { AuditHealth } from './access/audit-health.ts'
import { isOpenByDefault, openTenants } from './access/open-tenants.ts'
import { buildApp } from './app.ts'
import { megabytes, type ServerConfig } from './config.ts'
import { ManagementPort } from './management/port.ts'
import { Metrics } from './metrics/metrics.ts'
import type { ModelDirectory } from './models/model-directory.ts'
import { pageDirectory } from './page-directory.ts'
import type { ServiceBase, ServiceParts } from './service-parts.ts'
import type { App } from './services.ts'

export interface OpenedApp {
  readonly app: App
  readonly parts: ServiceParts
  /** Closed when the app closes. */
  readonly management?: ManagementPort
}

/** The app of a process. Its parts are closed when it closes, or cannot be made. */
export async function openApp(
  config: ServerConfig,
  directory: ModelDirectory,
  auditFile: AuditFile | undefined,
  logger: Logger,
  openParts: (base: ServiceBase) => Promise<ServiceParts>,
): Promise<OpenedApp> {
  const auditLog = { file: auditFile, health: new AuditHealth(auditFile && logger) }
  const audit = auditTo(auditFile?.log ?? logger, auditLog.health)
  const tenants = await openTenants(config, logger, ({ event, ...facts }) => audit(event, undefined, facts))
  const base = { config, directory, audit, tenants, metrics: new Metrics(), logger }
  try {
    const parts = await openParts(base)
    try {
      return await appOn(base, parts, auditLog)
    } catch (error) {
      await parts.engine.close()
      await parts.close()
      throw error
    }
  } catch (error) {
    tenants?.close()
    closeAudit(auditLog)
    throw error
  }
}

interface AuditLog {
  /** Absent where its lines are in the log. */
  readonly file: AuditFile | undefined
  readonly health: AuditHealth
}

function closeAudit({ file, health }: AuditLog): void {
  health.close()
  file?.close()
}

async function appOn(base: ServiceBase, parts: ServiceParts, auditLog: AuditLog): Promise<OpenedApp> {
  const { config, directory, audit, tenants, metrics, logger } = base
  const { keys, storage, engine, host, budget, counts } = parts
  const app = await buildApp({
    models: directory.models,
    keys,
    storage,
    engine,
    host,
    security: { ...config, counts },
    drainSeconds: config.shutdownSeconds,
    bodyBytes: megabytes(config.maxBodyMegabytes),
    trustProxy: config.trustProxy,
    tenants,
    isLocal: isOpenByDefault(config),
    budget,
    audit,
    auditLog: auditLog.health,
    metrics,
    hasMetrics: config.publicMetrics === 'on',
    page: config.page === 'on' ? await pageDirectory() : undefined,
    logger,
    onClosed: async () => {
      tenants?.close()
      await parts.close()
      closeAudit(auditLog)
    },
  })
  const management = await ManagementPort.open({
    config,
    services: app.services,
    source: parts.backup,
    lookForModels: () => directory.look(),
    tenants,
    logger,
  })
  app.addHook('onClose', async () => {
    await management?.close()
  })
  return { app, parts, management }
}
