import { METHODS } from 'node:http'
import { ALLOW_HEADER } from '../../wire/protocol/index.ts'
import { HttpError, uriTooLong } from '../problems/http-error.ts'
import type { App } from '../services.ts'

/**
 * Answers requests without a route: 414 where the URL is too long, 405 with `Allow` where the path has other
 * methods, 404 otherwise. OPTIONS for a known path is 204 with `Allow`. Their bodies are not read.
 */
export function useUnknownRoutes(app: App): void {
  // The rate limit counts requests for routes by itself, and no others.
  const count = app.rateLimit()
  app.addHook('onRequest', async function (request, reply) {
    const { is404, method, url } = request
    if (!is404 && url.length <= MAX_URL) return
    await count.call(this, request, reply)
    if (url.length > MAX_URL) throw uriTooLong()
    const allow = allowedMethods(app, url)
    if (allow.length === 0)
      throw new HttpError(404, 'CONFIG_INVALID', 'There is no such route; GET /openapi.json lists them all')
    reply.header(ALLOW_HEADER, allow.join(', '))
    if (method === 'OPTIONS') return reply.code(204).send()
    throw new HttpError(405, 'CONFIG_INVALID', `This path does not take ${method}, but ${allow.join(', ')}`, {
      allow,
    })
  })
}

// Longer ones can be no route. Node refuses those that exceed its limit on the head of a request.
const MAX_URL = 4096

/** The methods of a path, with OPTIONS where there are any. `*` stands for the server as a whole. */
function allowedMethods(app: App, url: string): string[] {
  if (url === '*') return ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']
  const [path] = url.split('?')
  // With CORS, every path has a route for OPTIONS.
  const methods = METHODS.filter((method) => method !== 'OPTIONS' && app.findRoute({ method, url: path }))
  return methods.length === 0 ? [] : [...methods, 'OPTIONS']
}
