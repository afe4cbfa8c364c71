import { newApp } from '../fastify-app.ts'
import { useAuthentication, useCallers } from '../plugins/authentication.ts'
import { useConnections } from '../plugins/connections.ts'
import { type DocumentedApp, useDocumentation } from '../plugins/documentation.ts'
import { useMediaTypes } from '../plugins/media-types.ts'
import { metricsRoute } from '../plugins/metrics.ts'
import { useProblems } from '../plugins/problems.ts'
import { useSecurity } from '../plugins/security.ts'
import { useUnknownRoutes } from '../plugins/unknown-routes.ts'
import { useUnparsedRequests } from '../plugins/unparsed-requests.ts'
import type { App } from '../services.ts'
import { backupRoutes } from './backups.ts'
import { healthRoutes } from './health.ts'
import { inferenceRoutes } from './inferences.ts'
import { keySetRoutes } from './key-sets.ts'
import { useLoopbackOnly } from './loopback-only.ts'
import { modelRoutes } from './models.ts'
import type { ManagementOptions } from './options.ts'
import { statusRoutes } from './status.ts'

const ABOUT: DocumentedApp = {
  title: 'PolyVeil management',
  description: 'Health, metrics and administration of a service, for its operator',
  tags: [
    { name: 'server', description: 'Health, load, settings and metrics' },
    { name: 'models', description: 'Circuits, and those that are left out' },
    { name: 'keys', description: 'Stored key sets of all tenants' },
    { name: 'inference', description: 'Inferences under way, of all tenants' },
    { name: 'backup', description: 'Copies of the data directory' },
  ],
}

/** Builds the app of the management port. It opens no port. */
export async function buildManagement(options: ManagementOptions): Promise<App> {
  const { config, services, tenants, logger } = options
  const app = newApp(logger)
  useProblems(app)
  useUnparsedRequests(app)
  useConnections(app)
  if (tenants === undefined) useLoopbackOnly(app)
  useCallers(app, tenants)
  // A route that does not say otherwise is for administrators.
  app.addHook('onRoute', (route) => {
    route.config = { access: 'admin', ...route.config }
  })
  // An operator looks at a service that is busy, so there is no limit on load.
  await useSecurity(
    app,
    { requestsPerMinute: config.requestsPerMinute, maxEventLoopDelayMs: 0 },
    services.audit,
  )
  useAuthentication(app, tenants, services.audit)
  useUnknownRoutes(app)
  useMediaTypes(app)
  await useDocumentation(app, ABOUT)
  metricsRoute(app, services)
  healthRoutes(app, services)
  statusRoutes(app, options)
  modelRoutes(app, options)
  keySetRoutes(app, services)
  inferenceRoutes(app, services)
  backupRoutes(app, options)
  return app
}
