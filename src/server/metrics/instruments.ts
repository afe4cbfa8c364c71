import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

// Short ways to register what prom-client has. Label values are bounded: names of models and tenants, which
// the operator chooses, and names that the program has.

/**
 * What all instruments have: a name after the rules of Prometheus, a help text without a full stop, labels.
 */
export interface Description<Label extends string> {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly Label[]
}

type Labels<Label extends string> = Partial<Record<Label, string | number>>

/** A value with its labels. */
export type Reading<Label extends string> = readonly [labels: Labels<Label>, value: number]

export const counter = <Label extends string>(
  registry: Registry,
  description: Description<Label>,
): Counter<Label> => new Counter({ ...description, registers: [registry] })

export const gauge = <Label extends string>(
  registry: Registry,
  description: Description<Label>,
): Gauge<Label> => new Gauge({ ...description, registers: [registry] })

/** A histogram of seconds. @param buckets upper limits, ascending */
export const seconds = <Label extends string>(
  registry: Registry,
  description: Description<Label>,
  buckets: number[],
): Histogram<Label> => new Histogram({ ...description, buckets, registers: [registry] })

/** What is known at once, or must be asked for. */
type Known<T> = T | Promise<T>

/** Registers a gauge that is read when metrics are collected. */
export function readGauge<Label extends string>(
  registry: Registry,
  description: Description<Label>,
  read: () => Known<readonly Reading<Label>[]>,
): void {
  new Gauge<Label>({
    ...description,
    registers: [registry],
    async collect() {
      const readings = await read()
      this.reset()
      for (const [labels, value] of readings) this.set(labels, value)
    },
  })
}

/** Registers a gauge of one number, which is read when metrics are collected. */
export const readNumber = (registry: Registry, name: string, help: string, read: () => Known<number>): void =>
  readGauge(registry, { name, help }, async () => [[{}, await read()]])

/**
 * Registers a counter of what another part of the service counts, read when metrics are collected.
 *
 * @param read counts by the value of the only label
 */
export function readCounter<Label extends string>(
  registry: Registry,
  description: Description<Label> & { readonly labelNames: readonly [Label] },
  read: () => Known<ReadonlyMap<string, number>>,
): void {
  const [label] = description.labelNames
  new Counter<Label>({
    ...description,
    registers: [registry],
    async collect() {
      const counts = await read()
      this.reset()
      for (const [value, count] of counts) this.inc({ [label]: value } as Labels<Label>, count)
    },
  })
}
