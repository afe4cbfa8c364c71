import { z } from 'zod'
import { responses } from '../openapi/response-schemas.ts'
import { notReady } from '../readiness.ts'
import type { App, Services } from '../services.ts'

export const reasonSchema = z.object({
  part: z.enum(['workers', 'storage', 'audit', 'tenants', 'intake', 'models']),
  blocks: z.boolean().describe('Whether the service is not ready because of it'),
  detail: z.string().describe('A sentence, without names of models and files'),
})

const readySchema = z.object({ ready: z.boolean(), reasons: z.array(reasonSchema) })

const drainSchema = z
  .object({
    intake: z
      .enum(['open', 'drained', 'ending'])
      .describe('Whether new work is taken; `ending` is a service that was told to end'),
    running: z.int().nonnegative().describe('Inferences that have not ended'),
  })
  .meta({ id: 'Drain' })

export type Drain = z.infer<typeof drainSchema>
type Reason = z.infer<typeof reasonSchema>

/** Why the service is not ready, and what is wrong with parts of it. */
export function reasonsOf(services: Services): Reason[] {
  const { engine, models } = services
  const blocking = notReady(services).map((each) => ({ ...each, blocks: true }))
  const still = engine.workers.filter(({ ready }) => !ready).length
  const reasons: Reason[] = [...blocking]
  if (engine.ready && still > 0) {
    const detail = `${still} of ${engine.workers.length} workers do not run`
    reasons.push({ part: 'workers', blocks: false, detail })
  }
  const left = models.leftOut.length
  if (left > 0) {
    const detail = `${left} circuit file(s) are left out; GET /models says why`
    reasons.push({ part: 'models', blocks: false, detail })
  }
  return reasons
}

/** Health for orchestrators, which send no tokens, and the drain. */
export function healthRoutes(app: App, services: Services): void {
  const { intake, host, audit } = services
  const drain = (): Drain => ({ intake: intake.state, running: host.running })
  app.get(
    '/livez',
    {
      config: { rateLimit: false, access: 'open' },
      schema: {
        tags: ['server'],
        operationId: 'live',
        summary: 'Whether the process answers',
        response: responses({ 200: z.object({ live: z.boolean() }) }),
      },
    },
    () => ({ live: true }),
  )
  app.get(
    '/readyz',
    {
      config: { rateLimit: false, access: 'open' },
      schema: {
        tags: ['server'],
        operationId: 'ready',
        summary: 'Whether inferences and key sets are taken, and why not',
        response: responses({ 200: readySchema, 503: readySchema }),
      },
    },
    async (_request, reply) => {
      const reasons = reasonsOf(services)
      const ready = !reasons.some(({ blocks }) => blocks)
      return reply.code(ready ? 200 : 503).send({ ready, reasons })
    },
  )
  const schema = { tags: ['server'], response: responses({ 200: drainSchema }) }
  app.get(
    '/drain',
    { schema: { ...schema, operationId: 'readDrain', summary: 'Whether the service is drained' } },
    drain,
  )
  app.put(
    '/drain',
    { schema: { ...schema, operationId: 'beginDrain', summary: 'Take no new inferences and key sets' } },
    (request) => {
      audit('drained by an operator', request)
      intake.pause()
      return drain()
    },
  )
  app.delete(
    '/drain',
    { schema: { ...schema, operationId: 'endDrain', summary: 'Take new inferences and key sets again' } },
    (request) => {
      audit('drain ended by an operator', request)
      intake.resume()
      return drain()
    },
  )
}
