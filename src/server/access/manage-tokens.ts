import { PolyVeilError } from '../../errors/index.ts'
import { type Quota, requireTenantName, type Scope, type StoredToken, type Tenant } from './tenant.ts'
import type { TenantFiles } from './tenant-files.ts'
import { hashOf, newToken, tokenText } from './token.ts'

/** A token to be made. */
export interface TokenRequest {
  readonly tenant: string
  readonly scopes: readonly Scope[]
  /** Milliseconds from now; absent for a token that never expires. */
  readonly lifetime?: number
  readonly note?: string
  /** Limits to set for the tenant; those that are absent stay as they are. */
  readonly quota: Quota
}

/** Ids are shown at this length and longer. */
const LEAST_ID = 4

/**
 * Makes a token, and the tenant if it is new.
 *
 * @returns the token's text, which is shown this once and stored nowhere
 * @throws CONFIG_INVALID
 */
export async function createToken(
  files: TenantFiles,
  { tenant: name, scopes, lifetime, note, quota }: TokenRequest,
  now = Date.now(),
): Promise<{ readonly text: string; readonly token: StoredToken; readonly tenant: Tenant }> {
  requireTenantName(name)
  const before = (await files.read(name)) ?? { tenant: name, quota: {}, tokens: [] }
  const parts = newToken()
  const token: StoredToken = {
    id: parts.id,
    sha256: hashOf(parts.secret),
    scopes: [...scopes],
    created: new Date(now).toISOString(),
    ...(lifetime !== undefined && { expires: new Date(now + lifetime).toISOString() }),
    ...(note !== undefined && { note }),
  }
  const tenant = { ...before, quota: { ...before.quota, ...quota }, tokens: [...before.tokens, token] }
  await files.save(tenant)
  return { text: tokenText(parts), token, tenant }
}

/**
 * Revokes a token.
 *
 * @param beginning of its id
 * @throws CONFIG_INVALID when no token, or several, have an id that begins so
 */
export async function revokeToken(
  files: TenantFiles,
  beginning: string,
  now = Date.now(),
): Promise<{ readonly tenant: string; readonly token: StoredToken }> {
  const found = (await allTenants(files)).flatMap((tenant) =>
    tenant.tokens.filter(({ id }) => id.startsWith(beginning)).map((token) => ({ tenant, token })),
  )
  if (found.length !== 1 || beginning.length < LEAST_ID) throw notOne(found.length, beginning)
  const [{ tenant, token }] = found
  const revoked = { ...token, revoked: token.revoked ?? new Date(now).toISOString() }
  const tokens = tenant.tokens.map((each) => (each.id === token.id ? revoked : each))
  await files.save({ ...tenant, tokens })
  return { tenant: tenant.tenant, token: revoked }
}

/** All tenants, sorted by name. @throws CONFIG_INVALID when a file is damaged */
export async function allTenants(files: TenantFiles): Promise<Tenant[]> {
  const names = await files.names()
  const tenants = await Promise.all(names.map((name) => files.read(name)))
  return tenants.filter((tenant) => tenant !== undefined)
}

function notOne(count: number, beginning: string): PolyVeilError {
  const why = beginning.length < LEAST_ID ? `Give at least ${LEAST_ID} characters of the id` : undefined
  return new PolyVeilError(
    'CONFIG_INVALID',
    why ?? (count === 0 ? 'No token has an id that begins so' : `${count} tokens have an id that begins so`),
    { matches: count },
    { remedy: 'polyveil tokens list shows the ids.' },
  )
}
