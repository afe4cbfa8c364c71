import { Metrics } from '../../src/server/metrics/metrics.ts'
import { observeService } from '../../src/server/metrics/service-gauges.ts'
import type { Services } from '../../src/server/services.ts'
import { code, markdownTable } from './markdown.ts'

/** What a metric of the registry has; the types of prom-client leave it out. */
export interface RegisteredMetric {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames: readonly string[]
}

/** The metrics that a service has beside the usual ones of Node processes. */
export function registeredMetrics(): readonly RegisteredMetric[] {
  const metrics = new Metrics()
  // What the gauges read is asked for when metrics are collected, and not here.
  observeService({ metrics } as Services)
  return metrics.registry.getMetricsAsArray() as unknown as RegisteredMetric[]
}

/** The table of metrics in docs/observability.md. */
export function metricsTable(): string {
  const rows = registeredMetrics()
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .map(({ name, type, labelNames, help }) => [
      code(name),
      type,
      labelNames.map(code).join(', '),
      `${help}.`,
    ])
  return markdownTable([['metric', 'type', 'labels', 'meaning'], ...rows])
}
