import type { FastifyInstance, RouteOptions } from 'fastify'
import { ROUTES, routeOf } from '../../wire/protocol/index.ts'
import type { App } from '../services.ts'
import { versionParams } from './schemas.ts'

const MODEL = routeOf(ROUTES.model)
const VERSION = routeOf(ROUTES.modelVersion)

/**
 * Serves every route of a model also below `/versions/{version}`, as the Open Inference Protocol has it, with
 * the same handler. Call it before the routes are made.
 */
export function useModelVersions(app: App): void {
  app.addHook('onRoute', function (this: FastifyInstance, route) {
    const below = isOfModel(route) ? route.url.slice(MODEL.length) : undefined
    if (below === undefined || below.startsWith(VERSION.slice(MODEL.length))) return
    const { operationId, summary } = route.schema ?? {}
    this.route({
      ...route,
      url: `${VERSION}${below}`,
      schema: {
        ...route.schema,
        operationId: `${operationId}OfVersion`,
        summary: `${summary}, of a version`,
        params: versionParams,
      },
    })
  })
}

/** Fastify makes the HEAD routes of the aliases by itself. */
const isOfModel = ({ url, method }: RouteOptions): boolean =>
  method !== 'HEAD' && (url === MODEL || url.startsWith(`${MODEL}/`))
