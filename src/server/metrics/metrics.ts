import { Registry } from 'prom-client'
import { InferenceMetrics } from './inference-metrics.ts'
import { counter, seconds } from './instruments.ts'
import { TenantMetrics } from './tenant-metrics.ts'
import { WorkerMetrics } from './worker-metrics.ts'

/** Metrics for Prometheus. Each server has its own registry, so that two in one process do not mix. */
export class Metrics {
  readonly registry = new Registry()
  readonly inferences = new InferenceMetrics(this.registry)
  readonly workers = new WorkerMetrics(this.registry, this.inferences)
  readonly tenants = new TenantMetrics(this.registry)
  readonly #requests = seconds(
    this.registry,
    {
      name: 'polyveil_http_request_seconds',
      help: 'Time to answer, by route',
      labelNames: ['method', 'route', 'status'],
    },
    [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  )
  readonly #keyUploads = counter(this.registry, {
    name: 'polyveil_key_upload_bytes_total',
    help: 'Bytes of key sets that clients have uploaded',
  })

  request(method: string, route: string, status: number, milliseconds: number): void {
    this.#requests.observe({ method, route, status }, milliseconds / 1000)
  }

  keysReceived(bytes: number): void {
    this.#keyUploads.inc(bytes)
  }
}
