import { z } from 'zod'
import { VERSION } from '../../version.ts'
import { ROUTES, routeOf, SERVER_EXTENSIONS, serverMetadataSchema } from '../../wire/protocol/index.ts'
import type { PageSender } from '../plugins/page.ts'
import { isReady } from '../readiness.ts'
import type { App, Services } from '../services.ts'
import { homePage } from './home-page.ts'
import { responses } from './schemas.ts'

const NAME = 'polyveil'

/** Relative links, which work behind a path prefix. */
const LINKS = {
  documentation: 'docs',
  openapi: 'openapi.json',
  metadata: ROUTES.server,
  models: ROUTES.models,
  health: ROUTES.ready,
}

/**
 * Routes of server metadata and health.
 *
 * @param page absent where the service has no web page; a description of the service takes its place
 */
export function serverRoutes(app: App, services: Services, page?: PageSender): void {
  const { models, tenants } = services
  const metadata = { name: NAME, version: VERSION, extensions: SERVER_EXTENSIONS }
  // A browser gets a page that describes the service, other programs get JSON.
  app.get('/', { config: { access: 'open' }, schema: { hide: true } }, ({ headers }, reply) => {
    reply.header('vary', 'accept')
    if (!headers.accept?.includes('text/html')) return reply.send({ ...metadata, ...LINKS })
    if (page) return page.send(reply)
    // Where tokens are needed, strangers do not learn what is served.
    const names = tenants ? undefined : models.all.map(({ name }) => name)
    return reply.type('text/html; charset=utf-8').send(homePage(VERSION, names, LINKS))
  })
  app.get(
    routeOf(ROUTES.server),
    {
      config: { access: 'open' },
      schema: {
        tags: ['server'],
        operationId: 'serverMetadata',
        summary: 'Server metadata',
        response: responses({ 200: serverMetadataSchema }),
      },
    },
    () => metadata,
  )
  app.get(
    routeOf(ROUTES.live),
    {
      config: { rateLimit: false, isProbe: true, access: 'open' },
      schema: {
        tags: ['server'],
        operationId: 'serverLive',
        summary: 'Whether the process answers',
        response: responses({ 200: z.object({ live: z.boolean() }) }),
      },
    },
    () => ({ live: true }),
  )
  const readySchema = z.object({ ready: z.boolean() })
  app.get(
    routeOf(ROUTES.ready),
    {
      config: { rateLimit: false, isProbe: true, access: 'open' },
      schema: {
        tags: ['server'],
        operationId: 'serverReady',
        summary: 'Whether inferences and key sets are taken',
        response: responses({ 200: readySchema, 503: readySchema }),
      },
    },
    async (_request, reply) => {
      const ready = isReady(services)
      return reply.code(ready ? 200 : 503).send({ ready })
    },
  )
}
