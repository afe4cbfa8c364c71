import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { MOST_NOTE } from './note.ts'

/** What a token allows. */
export const SCOPES = {
  infer: 'read models, upload keys and classify',
  metrics: 'read /metrics',
  admin: 'use the management port',
} as const
export type Scope = keyof typeof SCOPES

export const TENANT_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/

/** Limits of one tenant. Where one is absent, the setting for all clients holds, or there is none. */
export const quotaSchema = z.strictObject({
  /** Images that are classified in a day (UTC); a query with a batch counts all of its images. */
  imagesPerDay: z.int().positive().optional(),
  /** Images that are classified in all, from the first one on. */
  images: z.int().positive().optional(),
  requestsPerMinute: z.int().positive().optional(),
  /** Inferences at once. */
  inferences: z.int().positive().optional(),
  /** Complete key sets. */
  keySets: z.int().positive().optional(),
})
export type Quota = Readonly<z.infer<typeof quotaSchema>>

const instant = z.iso.datetime()

const tokenSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  /** SHA-256 of the secret in hex. The secret itself is stored nowhere. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.enum(Object.keys(SCOPES) as [Scope, ...Scope[]])).min(1),
  created: instant,
  /** Absent in tokens that never expire. */
  expires: instant.optional(),
  revoked: instant.optional(),
  note: z.string().max(MOST_NOTE).optional(),
})
export type StoredToken = Readonly<z.infer<typeof tokenSchema>>

/** A tenant as its file has it. */
export const tenantSchema = z.strictObject({
  tenant: z.string().regex(TENANT_NAME),
  quota: quotaSchema,
  tokens: z.array(tokenSchema),
})
export type Tenant = Readonly<z.infer<typeof tenantSchema>>

/** @throws CONFIG_INVALID */
export function requireTenantName(name: string): void {
  if (TENANT_NAME.test(name)) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'The name of a tenant has 1 to 63 small letters, digits and hyphens, and begins with a letter or digit',
  )
}

/** The error for a tenant that its schema does not take. */
export function tenantTrouble({ issues: [issue] }: z.ZodError): PolyVeilError {
  const place = issue.path.join('.') || 'tenant'
  return new PolyVeilError('CONFIG_INVALID', `The tenant cannot be stored: ${place}: ${issue.message}`, {
    field: place,
  })
}

export type TokenState = 'valid' | 'expired' | 'revoked'

/** @param now milliseconds since 1970 */
export function stateOf(
  { expires, revoked }: Pick<StoredToken, 'expires' | 'revoked'>,
  now: number,
): TokenState {
  if (revoked !== undefined) return 'revoked'
  return expires !== undefined && Date.parse(expires) <= now ? 'expired' : 'valid'
}
