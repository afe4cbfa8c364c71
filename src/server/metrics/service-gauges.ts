import { peakResidentBytes } from '../../he-ops/peak-memory.ts'
import type { Tenants } from '../access/tenants.ts'
import type { EngineLoad } from '../inference/engine.ts'
import { isReady } from '../readiness.ts'
import type { Services } from '../services.ts'
import { unlessBusy } from '../stores/key-set-errors.ts'
import type { Totals } from '../stores/key-set-index.ts'
import { type Reading, readCounter, readGauge, readNumber } from './instruments.ts'

/** Gauges of the engine's load. */
const LOAD_GAUGES: readonly (readonly [keyof EngineLoad, name: string, help: string])[] = [
  ['waiting', 'polyveil_inferences_waiting', 'Inferences that wait for their turn'],
  ['computing', 'polyveil_inferences_computing', 'Inferences that are computed for'],
  ['paused', 'polyveil_inferences_paused', 'Inferences that wait for their clients'],
  [
    'waitSeconds',
    'polyveil_queue_seconds',
    'Time that an inference that comes now waits for its turn, by estimate',
  ],
  ['loadedKeySets', 'polyveil_loaded_key_sets', 'Key sets that workers have loaded'],
  ['heldBytes', 'polyveil_held_engine_bytes', 'Engine memory that inferences under way hold, by estimate'],
]

/** Gauges of the stored key sets. */
const KEY_GAUGES: readonly (readonly [keyof Totals, name: string, help: string])[] = [
  ['sets', 'polyveil_key_sets', 'Stored key sets, incomplete ones included'],
  ['bytes', 'polyveil_key_set_bytes', 'Space that stored key sets take; incomplete ones count in full'],
  ['uploads', 'polyveil_key_set_uploads', 'Key sets whose upload is under way'],
]

/**
 * Registers what the parts of a service know themselves. It is read when metrics are collected.
 *
 * @param tenants absent where the service is open
 */
export function observeService(services: Services, tenants?: Tenants): void {
  observeProcess(services)
  observeKeyStore(services)
  observeStorage(services)
  observeBudgets(services, tenants)
}

function observeProcess(services: Services): void {
  const one = readNumber.bind(undefined, services.metrics.registry)
  one('polyveil_ready', 'Whether inferences and key sets are taken: 1 or 0', () => Number(isReady(services)))
  for (const [part, name, help] of LOAD_GAUGES) one(name, help, () => services.engine.load[part])
  one(
    'polyveil_arriving_bytes',
    'Announced bytes of bodies that have not all arrived',
    () => services.bodies.bytes,
  )
  one('polyveil_peak_resident_bytes', 'Most memory that the process has taken', peakResidentBytes)
}

function observeKeyStore({ metrics: { registry }, keys }: Services): void {
  for (const [part, name, help] of KEY_GAUGES) {
    const read = async (): Promise<Reading<never>[]> => [[{}, (await keys.totals())[part]]]
    readGauge(registry, { name, help }, () => read().catch(unknownIfBusy))
  }
  readCounter(
    registry,
    {
      name: 'polyveil_key_sets_removed_total',
      help: 'Stored key sets that were removed, by reason, such as expired',
      labelNames: ['reason'],
    },
    () => keys.removed,
  )
}

/** Numbers of a place of records that is away are NaN, and those of the process are read all the same. */
function unknownIfBusy(error: unknown): Reading<never>[] {
  unlessBusy(error)
  return [[{}, Number.NaN]]
}

function observeStorage({ metrics: { registry }, storage }: Services): void {
  readNumber(registry, 'polyveil_storage_writable', 'Whether the state can be written: 1 or 0', () =>
    Number(storage.isWritable),
  )
  readCounter(
    registry,
    {
      name: 'polyveil_storage_failures_total',
      help: 'Writes that the disk refused, by reason: full, read-only, permission, fault',
      labelNames: ['reason'],
    },
    () => storage.failures,
  )
}

function observeBudgets({ metrics: { registry }, budget }: Services, tenants: Tenants | undefined): void {
  readGauge(
    registry,
    {
      name: 'polyveil_tenant_images_left',
      help: 'Images that a tenant with a budget has left, by period: day (UTC) or all',
      labelNames: ['tenant', 'period'],
    },
    async () => {
      const readings = (tenants?.all ?? []).map(async ({ tenant, quota }) => {
        const { day, all } = await budget.left(tenant, quota)
        return [
          ...reading(day, { tenant, period: 'day' } as const),
          ...reading(all, { tenant, period: 'all' } as const),
        ]
      })
      return (await Promise.all(readings)).flat()
    },
  )
}

const reading = <Labels extends object>(value: number | undefined, labels: Labels): [Labels, number][] =>
  value === undefined ? [] : [[labels, value]]
