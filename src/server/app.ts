import type { FastifyBaseLogger } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { type Audit, auditTo } from './access/audit.ts'
import { tenantOf } from './access/caller.ts'
import { ImageBudget } from './access/image-budget.ts'
import { observedAudit } from './access/observed-audit.ts'
import type { Tenants } from './access/tenants.ts'
import type { TrustedProxies } from './addresses/trusted-proxies.ts'
import { newApp } from './fastify-app.ts'
import type { EngineAccess } from './inference/engine.ts'
import type { InferenceHost } from './inference/host.ts'
import { Intake } from './inference/intake.ts'
import { Metrics } from './metrics/metrics.ts'
import type { ModelCatalogue } from './models/catalogue.ts'
import { ArrivingBodies } from './plugins/arriving-bodies.ts'
import { useAuthentication, useCallers } from './plugins/authentication.ts'
import { useConnections } from './plugins/connections.ts'
import { useDocumentation } from './plugins/documentation.ts'
import { useLocalRequests } from './plugins/local-requests.ts'
import { useMediaTypes } from './plugins/media-types.ts'
import { metricsRoute, useMetrics } from './plugins/metrics.ts'
import { limitConnections } from './plugins/open-connections.ts'
import { usePage } from './plugins/page.ts'
import { useProblems } from './plugins/problems.ts'
import { type SecurityOptions, useSecurity } from './plugins/security.ts'
import { closeStalledReaders } from './plugins/stalled-readers.ts'
import { useTracing } from './plugins/tracing.ts'
import { useUnknownRoutes } from './plugins/unknown-routes.ts'
import { useUnparsedRequests } from './plugins/unparsed-requests.ts'
import { inferRoute } from './routes/infer.ts'
import { inferenceRoutes } from './routes/inferences.ts'
import { keyRoutes } from './routes/keys.ts'
import { useModelVersions } from './routes/model-versions.ts'
import { modelRoutes } from './routes/models.ts'
import { roundRoutes } from './routes/rounds.ts'
import { serverRoutes } from './routes/server.ts'
import type { App, Services } from './services.ts'
import { HeldKeys } from './stores/held-keys.ts'
import { type KeyStore, nameOf } from './stores/key-store.ts'
import { StateDatabase } from './stores/state-database.ts'
import { loggedName } from './stores/store-log.ts'

/** Parts of the app that hosts of inferences use. */
export type HostParts = Pick<Services, 'budget' | 'audit' | 'metrics'>

export interface AppOptions {
  readonly models: ModelCatalogue
  readonly keys: KeyStore
  /** Whether the state can be written; by default it always can. */
  readonly storage?: Services['storage']
  /** The app closes it when the app closes. */
  readonly engine: EngineAccess
  /** Makes the host of inferences. */
  readonly host: (parts: HostParts) => InferenceHost
  readonly security: SecurityOptions
  /** A client that reads nothing of its answer for so long is disconnected; default 60. */
  readonly stalledReaderSeconds?: number
  /** When the app closes, inferences that run get this time to end; default none. */
  readonly drainSeconds?: number
  /** Memory for bodies that are arriving, in bytes; default without a limit. */
  readonly bodyBytes?: number
  /** Proxies whose `X-Forwarded-For` the server trusts, as Fastify takes them; by default none. */
  readonly trustProxy?: TrustedProxies
  /** The tenants whose tokens open the service; absent where it is open to all who reach it. */
  readonly tenants?: Tenants
  /** Whether requests that do not come from this machine itself are refused; by default they are not. */
  readonly isLocal?: boolean
  /** Counts the images of tenants; by default without a memory beyond this process. */
  readonly budget?: ImageBudget
  /** By default lines of the log. */
  readonly audit?: Audit
  /** Whether the audit log can be written; by default it always can. */
  readonly auditLog?: Services['auditLog']
  /** Called when the app has closed, and nothing runs any more. */
  readonly onClosed?: () => Promise<void>
  /** The directory of the web page; absent where the service has none. */
  readonly page?: string
  /** By default new ones. */
  readonly metrics?: Metrics
  /** Whether this port has /metrics; by default it has. */
  readonly hasMetrics?: boolean
  readonly logger: FastifyBaseLogger
}

const SWEEP_MILLISECONDS = 60_000
/** Inferences that are cancelled at the end get this time to note it. */
const SETTLE_MILLISECONDS = 5000

/** Builds the service, without a port: `listen` opens one, `inject` needs none. */
export async function buildApp({
  models,
  keys,
  storage = { isWritable: true, failures: new Map() },
  engine,
  host,
  security,
  stalledReaderSeconds = 60,
  drainSeconds = 0,
  bodyBytes = Infinity,
  trustProxy = false,
  tenants,
  isLocal = false,
  budget = new ImageBudget(StateDatabase.inMemory()),
  logger,
  audit: given = auditTo(logger),
  auditLog = { isWritable: true },
  onClosed = async () => {},
  page,
  metrics = new Metrics(),
  hasMetrics = true,
}: AppOptions): Promise<App> {
  const audit = observedAudit(given, (code) => metrics.tenants.loginRefused(code))
  const app = newApp(logger, trustProxy)
  // Fastify calls these hooks in the reverse order.
  app.addHook('onClose', onClosed)
  const services: Services = {
    models,
    keys,
    keysOf: keysOfCaller(keys, audit),
    storage,
    tenants,
    budget,
    bodies: new ArrivingBodies(bodyBytes),
    audit,
    auditLog,
    engine,
    host: host({ budget, audit, metrics }),
    intake: new Intake(),
    metrics,
  }
  app.decorate('services', services)
  useTracing(app)
  useModelVersions(app)
  useProblems(app)
  useUnparsedRequests(app)
  // The port stays open meanwhile: clients send their replies to refresh rounds, and fetch answers.
  app.addHook('preClose', async () => {
    const isBusy = (): boolean => services.host.running + services.host.unfetched > 0
    await services.intake.drain(isBusy, drainSeconds * 1000)
    // A client cannot send a reply once the server refuses all requests.
    services.host.stopUnanswered()
  })
  useConnections(app)
  limitConnections(app, { ...security, trustProxy })
  closeStalledReaders(app, stalledReaderSeconds * 1000)
  useCallers(app, tenants)
  await useSecurity(app, security, audit)
  useAuthentication(app, tenants, audit)
  if (isLocal) useLocalRequests(app)
  useUnknownRoutes(app)
  useMediaTypes(app)
  await useDocumentation(app)
  useMetrics(app, services)
  if (hasMetrics) metricsRoute(app, services)
  serverRoutes(app, services, page === undefined ? undefined : await usePage(app, page))
  modelRoutes(app, services)
  inferenceRoutes(app, services)
  // Each of these routes parses `application/octet-stream` in its own way and therefore has its own scope.
  await app.register((scope) => keyRoutes(scope.withTypeProvider<ZodTypeProvider>(), services))
  await app.register((scope) => inferRoute(scope.withTypeProvider<ZodTypeProvider>(), services))
  await app.register((scope) => roundRoutes(scope.withTypeProvider<ZodTypeProvider>(), services))

  keys.watch((name) => engine.forgetKeys(name))
  sweepExpiredKeys(app, keys)
  app.addHook('onClose', async () => {
    services.host.stopAll()
    await engine.close()
    await services.intake.drain(() => services.host.running > 0, SETTLE_MILLISECONDS)
  })
  return app
}

/** The key sets of a caller: those of its tenant, or those that were announced without one. */
const keysOfCaller =
  (keys: KeyStore, audit: Audit): Services['keysOf'] =>
  (request) =>
    new HeldKeys(
      keys,
      ({ owner }) => tenantOf(owner) === request.caller.tenant,
      (id) => audit('key set of another tenant asked for', request, { keySet: loggedName(nameOf(id)) }),
    )

function sweepExpiredKeys(app: App, keys: KeyStore): void {
  const sweep = (): void => {
    keys.sweep().catch((err) => app.log.error({ err }, 'Expired key sets could not be removed'))
  }
  const timer = setInterval(sweep, SWEEP_MILLISECONDS).unref()
  app.addHook('onClose', async () => clearInterval(timer))
}
