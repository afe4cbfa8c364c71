import { collectDefaultMetrics } from 'prom-client'
import { observeService } from '../metrics/service-gauges.ts'
import { bytesResponse, responses } from '../openapi/response-schemas.ts'
import type { App, Services } from '../services.ts'

/** What the service measures of itself, and the time of every request. */
export function useMetrics(app: App, services: Services): void {
  const { metrics } = services
  collectDefaultMetrics({ register: metrics.registry })
  observeService(services, services.tenants)
  app.addHook('onResponse', async ({ method, routeOptions, caller }, reply) => {
    metrics.request(method, routeOptions.url ?? 'unknown', reply.statusCode, reply.elapsedTime)
    metrics.tenants.request(caller?.tenant, reply.problemCode)
  })
}

/** `GET /metrics` */
export function metricsRoute(app: App, { metrics, tenants }: Pick<Services, 'metrics' | 'tenants'>): void {
  app.get(
    '/metrics',
    {
      config: {
        isProbe: true,
        access: 'metrics',
        // Callers who may read metrics are not counted. Others are, so that they cannot flood the audit log.
        rateLimit: {
          allowList: ({ caller }) => tenants === undefined || caller.scopes?.includes('metrics') === true,
        },
      },
      schema: {
        tags: ['server'],
        operationId: 'metrics',
        summary: 'Metrics for Prometheus',
        response: responses({ 200: bytesResponse('text/plain', 'The text format of Prometheus') }),
      },
    },
    async (_request, reply) =>
      reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
}
