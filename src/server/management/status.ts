import { z } from 'zod'
import { peakResidentBytes } from '../../he-ops/peak-memory.ts'
import { VERSION } from '../../version.ts'
import { shownAddress } from '../addresses/shown-address.ts'
import { megabytes } from '../config.ts'
import { responses } from '../openapi/response-schemas.ts'
import type { App } from '../services.ts'
import { reasonSchema, reasonsOf } from './health.ts'
import type { ManagementOptions } from './options.ts'

const count = z.int().nonnegative()
const amount = z.number().nonnegative()

const statusSchema = z
  .object({
    version: z.string(),
    seconds: amount.describe('Since the process began'),
    ready: z.boolean(),
    reasons: z.array(reasonSchema),
    load: z.object({
      waiting: count.describe('Inferences that wait for their turn'),
      computing: count.describe('Inferences that are computed for'),
      paused: count.describe('Inferences that wait for their clients'),
      waitSeconds: amount.describe('Time that an inference that comes now waits, by estimate'),
      arrivingBytes: count.describe('Announced bytes of bodies that have not all arrived'),
    }),
    workers: z.array(
      z.object({
        ready: z.boolean(),
        computing: count,
        loadedKeySets: count,
        heldBytes: amount.describe('Engine memory that inferences under way hold, by estimate'),
        limitBytes: count.describe('Most memory of its engine'),
      }),
    ),
    memory: z.object({ residentBytes: count, peakResidentBytes: amount, heapBytes: count }),
    keySets: z.object({ complete: count, uploads: count, bytes: count }),
    models: z.object({ served: count, leftOut: count }),
  })
  .meta({ id: 'Status' })

export type Status = z.infer<typeof statusSchema>

const settingsSchema = z
  .record(z.string(), z.unknown())
  .meta({ id: 'Settings', description: 'The settings of docs/configuration.md in force' })

/** What the service does now, and under which settings. */
export function statusRoutes(app: App, options: ManagementOptions): void {
  app.get(
    '/status',
    {
      schema: {
        tags: ['server'],
        operationId: 'status',
        summary: 'Load, workers, memory, and what is stored and served',
        response: responses({ 200: statusSchema }),
      },
    },
    () => statusOf(options),
  )
  app.get(
    '/settings',
    {
      schema: {
        tags: ['server'],
        operationId: 'settings',
        summary: 'The settings in force; none of them is a secret',
        response: responses({ 200: settingsSchema }),
      },
    },
    () => ({ ...options.config, redis: options.config.redis && shownAddress(options.config.redis) }),
  )
}

async function statusOf({ config, services }: ManagementOptions): Promise<Status> {
  const { engine, keys, models, bodies } = services
  const reasons = reasonsOf(services)
  const { waiting, computing, paused, waitSeconds } = engine.load
  const { rss, heapUsed } = process.memoryUsage()
  const { live, uploads, bytes } = await keys.totals()
  return {
    version: VERSION,
    seconds: process.uptime(),
    ready: !reasons.some(({ blocks }) => blocks),
    reasons,
    load: { waiting, computing, paused, waitSeconds, arrivingBytes: bodies.bytes },
    workers: engine.workers.map((worker) => ({
      ...worker,
      limitBytes: megabytes(config.engineMegabytes),
    })),
    memory: { residentBytes: rss, peakResidentBytes: peakResidentBytes(), heapBytes: heapUsed },
    keySets: { complete: live - uploads, uploads, bytes },
    models: { served: models.versions.length, leftOut: models.leftOut.length },
  }
}
