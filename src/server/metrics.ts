import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { PolyVeilError } from '../errors/index.ts'

/** Metrics for Prometheus. Each server has its own registry, so that two in one process do not mix. */
export class Metrics {
  readonly registry = new Registry()
  readonly #requests = new Histogram({
    name: 'polyveil_http_request_seconds',
    help: 'Time to answer, by route',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [this.registry],
  })
  readonly #seconds = new Histogram({
    name: 'polyveil_inference_seconds',
    help: 'Time of successful inferences, waiting included',
    labelNames: ['model'],
    buckets: [0.5, 1, 2, 5, 10, 20, 60, 180, 600],
    registers: [this.registry],
  })
  readonly #outcomes = new Counter({
    name: 'polyveil_inferences_total',
    help: 'Inferences by outcome: ok or an error code',
    labelNames: ['model', 'outcome'],
    registers: [this.registry],
  })

  readonly #rounds = new Counter({
    name: 'polyveil_refresh_rounds_total',
    help: 'Refresh rounds that clients have answered',
    labelNames: ['model'],
    registers: [this.registry],
  })
  readonly #refreshBytes = new Counter({
    name: 'polyveil_refresh_bytes_total',
    help: 'Bytes of refresh rounds: down to clients, up from them',
    labelNames: ['model', 'direction'],
    registers: [this.registry],
  })

  refreshSent(model: string, bytes: number): void {
    this.#refreshBytes.inc({ model, direction: 'down' }, bytes)
  }

  replyReceived(model: string, bytes: number): void {
    this.#rounds.inc({ model })
    this.#refreshBytes.inc({ model, direction: 'up' }, bytes)
  }

  request(method: string, route: string, status: number, milliseconds: number): void {
    this.#requests.observe({ method, route, status }, milliseconds / 1000)
  }

  /** Runs an inference and counts how it ended. */
  async timeInference<T>(model: string, inference: () => Promise<T>): Promise<T> {
    const stop = this.#seconds.startTimer({ model })
    try {
      const result = await inference()
      stop()
      this.#outcomes.inc({ model, outcome: 'ok' })
      return result
    } catch (error) {
      this.#outcomes.inc({ model, outcome: error instanceof PolyVeilError ? error.code : 'INTERNAL' })
      throw error
    }
  }

  /** Registers a gauge that is read when metrics are collected. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read())
      },
    })
  }
}
