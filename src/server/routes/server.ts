import { z } from 'zod'
import { VERSION } from '../../version.ts'
import type { App, Services } from '../app.ts'
import { responses } from './schemas.ts'

const NAME = 'polyveil'
const EXTENSIONS = ['binary_tensor_data', 'polyveil_ckks']

const metadataSchema = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  .meta({ id: 'ServerMetadata' })

/** What the server is, and whether it is well. */
export function serverRoutes(app: App, { engine }: Services): void {
  app.get(
    '/v2',
    {
      schema: { tags: ['server'], summary: 'Server metadata', response: responses({ 200: metadataSchema }) },
    },
    () => ({ name: NAME, version: VERSION, extensions: EXTENSIONS }),
  )
  app.get(
    '/v2/health/live',
    {
      config: { rateLimit: false },
      schema: {
        tags: ['server'],
        summary: 'Whether the process answers',
        response: responses({ 200: z.object({ live: z.boolean() }) }),
      },
    },
    () => ({ live: true }),
  )
  const readySchema = z.object({ ready: z.boolean() })
  app.get(
    '/v2/health/ready',
    {
      config: { rateLimit: false },
      schema: {
        tags: ['server'],
        summary: 'Whether inferences are taken',
        response: responses({ 200: readySchema, 503: readySchema }),
      },
    },
    async (_request, reply) => reply.code(engine.ready ? 200 : 503).send({ ready: engine.ready }),
  )
}
