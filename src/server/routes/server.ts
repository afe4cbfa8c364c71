import { z } from 'zod'
import { VERSION } from '../../version.ts'
import type { App, Services } from '../services.ts'
import { homePage } from './home-page.ts'
import { responses } from './schemas.ts'

const NAME = 'polyveil'
const EXTENSIONS = ['binary_tensor_data', 'polyveil_ckks']

/** Relative, so that they hold behind a prefix. */
const LINKS = {
  documentation: 'docs',
  openapi: 'openapi.json',
  metadata: 'v2',
  models: 'v2/models',
  health: 'v2/health/ready',
}

const metadataSchema = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  .meta({ id: 'ServerMetadata' })

/** What the server is, and whether it is well. */
export function serverRoutes(app: App, { engine, models }: Services): void {
  const metadata = { name: NAME, version: VERSION, extensions: EXTENSIONS }
  // People who follow a link, or a proxy's administrator, learn what this is.
  app.get('/', { schema: { hide: true } }, ({ headers }, reply) => {
    reply.header('vary', 'accept')
    if (!headers.accept?.includes('text/html')) return reply.send({ ...metadata, ...LINKS })
    const names = models.all.map(({ name }) => name)
    return reply.type('text/html; charset=utf-8').send(homePage(VERSION, names, LINKS))
  })
  app.get(
    '/v2',
    {
      schema: { tags: ['server'], summary: 'Server metadata', response: responses({ 200: metadataSchema }) },
    },
    () => metadata,
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
