import type { FastifyReply, FastifyRequest } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import type { Audit, AuditFacts } from '../access/audit.ts'
import { addressCaller, type Caller, tenantCaller } from '../access/caller.ts'
import type { Scope } from '../access/tenant.ts'
import { RefusedToken, type Tenants, type TokenOwner } from '../access/tenants.ts'
import type { App } from '../services.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a token must allow for the route, or `open` where none is needed; by default `infer`. */
    access?: Scope | 'open'
  }
}

/** Pages of the documentation, whose routes a plugin makes. */
const OPEN_PATHS = ['/docs', '/docs/*', '/openapi.json']

/**
 * Finds out who sends each request. Limits then count by tenant, so this comes before the plugins that limit.
 *
 * @param tenants absent where the service is open
 */
export function useCallers(app: App, tenants: Tenants | undefined): void {
  app.decorateRequest('caller')
  app.addHook('onRequest', async (request) => {
    request.caller = tenants ? callerIn(tenants, request) : addressCaller(request)
  })
}

/**
 * Refuses requests without a token that allows them, before their bodies are read and after the plugins that
 * limit. Routes that do not say otherwise need the scope `infer`.
 */
export function useAuthentication(app: App, tenants: Tenants | undefined, audit: Audit): void {
  if (tenants === undefined) return
  app.addHook('preParsing', async (request, reply) => {
    const { url, config } = request.routeOptions
    const access = url !== undefined && isOpenPath(url) ? 'open' : (config?.access ?? 'infer')
    if (url === undefined || access === 'open') return
    try {
      requireScope(ownerIn(tenants, request), access)
    } catch (error) {
      audit('access refused', request, { route: url, ...refusalFacts(error) })
      challenge(reply, error)
      throw error
    }
  })
}

const isOpenPath = (url: string): boolean => OPEN_PATHS.includes(url) || url.startsWith('/docs/')

/**
 * A request without a valid token counts for its address. `useAuthentication` refuses it where one is needed.
 */
function callerIn(tenants: Tenants, request: FastifyRequest): Caller {
  try {
    return tenantCaller(ownerIn(tenants, request))
  } catch {
    return addressCaller(request)
  }
}

/** @throws UNAUTHENTICATED */
function ownerIn(tenants: Tenants, { headers }: FastifyRequest): TokenOwner {
  const [, token] = /^Bearer +([^ ]+)$/i.exec(headers.authorization ?? '') ?? []
  if (token !== undefined) return tenants.owner(token)
  throw new PolyVeilError(
    'UNAUTHENTICATED',
    'The request has no header Authorization: Bearer TOKEN',
    {},
    {
      remedy: 'Ask the operator of the service for a token, and send it with every request.',
    },
  )
}

/** @throws FORBIDDEN */
function requireScope({ token }: TokenOwner, scope: Scope): void {
  if (token.scopes.includes(scope)) return
  throw new PolyVeilError(
    'FORBIDDEN',
    `The token does not have the scope ${scope}`,
    { scope },
    {
      remedy: `Ask the operator of the service for a token with the scope ${scope}.`,
    },
  )
}

/**
 * Why access is refused, and to whom where the request has the secret of a token that is not valid any more.
 */
function refusalFacts(error: unknown): AuditFacts {
  const { code: why } = error as PolyVeilError
  if (!(error instanceof RefusedToken)) return { why }
  const { reason, owner } = error
  return { why, reason, ...(owner && { tenant: owner.tenant.tenant, token: owner.token.id }) }
}

/** The challenge of RFC 6750, section 3. */
function challenge(reply: FastifyReply, error: unknown): void {
  const { code } = error as PolyVeilError
  if (code !== 'UNAUTHENTICATED' && code !== 'FORBIDDEN') return
  const cause = code === 'FORBIDDEN' ? 'insufficient_scope' : 'invalid_token'
  const hasToken = reply.request.headers.authorization !== undefined
  reply.header('www-authenticate', `Bearer realm="polyveil"${hasToken ? `, error="${cause}"` : ''}`)
}
