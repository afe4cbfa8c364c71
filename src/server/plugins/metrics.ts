import { collectDefaultMetrics } from 'prom-client'
import { peakResidentBytes } from '../../he-ops/peak-memory.ts'
import { bytesResponse, responses } from '../openapi/response-schemas.ts'
import type { App, Services } from '../services.ts'

/** `GET /metrics`, and the time of every request. */
export function useMetrics(app: App, { metrics, keys, engine, bodies, tenants }: Services): void {
  collectDefaultMetrics({ register: metrics.registry })
  metrics.gauge(
    'polyveil_inferences_waiting',
    'Inferences that wait for their turn',
    () => engine.load.waiting,
  )
  metrics.gauge(
    'polyveil_inferences_computing',
    'Inferences that are computed for',
    () => engine.load.computing,
  )
  metrics.gauge(
    'polyveil_inferences_paused',
    'Inferences that wait for their clients',
    () => engine.load.paused,
  )
  metrics.gauge(
    'polyveil_queue_seconds',
    'Time that an inference that comes now waits for its turn, by estimate',
    () => engine.load.waitSeconds,
  )
  metrics.gauge(
    'polyveil_loaded_key_sets',
    'Key sets that workers have loaded',
    () => engine.load.loadedKeySets,
  )
  metrics.gauge(
    'polyveil_held_engine_bytes',
    'Engine memory that inferences under way hold, by estimate',
    () => engine.load.heldBytes,
  )
  metrics.gauge(
    'polyveil_arriving_bytes',
    'Announced bytes of bodies that have not all arrived',
    () => bodies.bytes,
  )
  metrics.gauge('polyveil_key_sets', 'Stored key sets', () => keys.size)
  metrics.gauge('polyveil_key_set_bytes', 'Space that stored key sets take', () => keys.reservedBytes)
  metrics.gauge('polyveil_peak_resident_bytes', 'Most memory that the process has taken', peakResidentBytes)
  app.addHook('onResponse', async (request, reply) => {
    metrics.request(
      request.method,
      request.routeOptions.url ?? 'unknown',
      reply.statusCode,
      reply.elapsedTime,
    )
  })
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
