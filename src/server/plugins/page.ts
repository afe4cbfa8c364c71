import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyReply } from 'fastify'
import type { App } from '../services.ts'

/** Files of the page, besides the page itself, by the paths that it names them with. */
const ASSETS = 'assets'

/**
 * What the page may do: load and ask nothing but this service, compile WebAssembly, and show pictures that it
 * has made. Its workers get the same policy with their scripts.
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join(';')

/** Headers of the page and of all its files. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': PAGE_POLICY,
  // Both together make the page cross-origin isolated, so that browsers give it shared memory for threads.
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'permissions-policy': 'camera=(self)',
}

/** The names of bundled files change with their contents; samples keep theirs. */
const UNCHANGING = 'public, max-age=31536000, immutable'
const SHORT = 'public, max-age=3600'

/** Sends the web page, from the bundle that the build made. */
export interface PageSender {
  /** Answers a request with the page. */
  send(reply: FastifyReply): FastifyReply
}

/**
 * Serves the files of the web page. The page itself is left to the route of `/`.
 *
 * @param directory of the bundle, which has to exist
 */
export async function usePage(app: App, directory: string): Promise<PageSender> {
  await app.register(async (scope) => {
    // The files are the same for everybody.
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'open' }
      route.schema = { hide: true }
    })
    await scope.register(fastifyStatic, {
      root: join(directory, ASSETS),
      prefix: `/${ASSETS}/`,
      // A route for each file: unknown paths are then answered as all others are.
      wildcard: false,
      index: false,
      preCompressed: true,
      cacheControl: false,
      setHeaders: (reply, path) => {
        for (const [name, value] of Object.entries(HEADERS)) reply.header(name, value)
        reply.header('cache-control', path.includes('/samples/') ? SHORT : UNCHANGING)
      },
    })
  })
  await app.register(fastifyStatic, { root: directory, serve: false })
  return {
    send: (reply) => {
      for (const [name, value] of Object.entries(HEADERS)) reply.header(name, value)
      return reply.header('cache-control', 'no-cache').sendFile('index.html', { cacheControl: false })
    },
  }
}
