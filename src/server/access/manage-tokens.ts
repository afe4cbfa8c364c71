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

/** Limits to set, and with null to remove; those that are absent stay as they are. */
export type QuotaChange = { readonly [Limit in keyof Quota]?: Quota[Limit] | null }

/** The tenants of a directory, and what its other files are refused for. */
export interface ReadTenants {
  readonly tenants: readonly Tenant[]
  readonly refused: readonly PolyVeilError[]
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
  const parts = newToken()
  const token: StoredToken = {
    id: parts.id,
    sha256: hashOf(parts.secret),
    scopes: [...scopes],
    created: new Date(now).toISOString(),
    ...(lifetime !== undefined && { expires: new Date(now + lifetime).toISOString() }),
    ...(note !== undefined && { note }),
  }
  return files.alone(async () => {
    const before = (await files.read(name)) ?? { tenant: name, quota: {}, tokens: [] }
    const tenant = { ...before, quota: { ...before.quota, ...quota }, tokens: [...before.tokens, token] }
    await files.save(tenant)
    return { text: tokenText(parts), token, tenant }
  })
}

/** Sets and removes limits of a tenant. @throws CONFIG_INVALID when there is no such tenant */
export async function changeQuota(files: TenantFiles, name: string, change: QuotaChange): Promise<Tenant> {
  await requireTenant(files, name)
  return files.alone(async () => {
    const before = await requireTenant(files, name)
    const limits = Object.entries({ ...before.quota, ...change }).filter(([, limit]) => limit !== null)
    const tenant = { ...before, quota: Object.fromEntries(limits) as Quota }
    await files.save(tenant)
    return tenant
  })
}

/**
 * Revokes a token. Tenants whose files are damaged do not hinder that.
 *
 * @param beginning of its id
 * @throws CONFIG_INVALID when no token, or several, have an id that begins so
 */
export async function revokeToken(
  files: TenantFiles,
  beginning: string,
  now = Date.now(),
): Promise<{
  readonly tenant: string
  readonly token: StoredToken
  readonly refused: ReadTenants['refused']
}> {
  // A directory that has no such token is not locked, since that would make it.
  await onlyToken(files, beginning)
  return files.alone(async () => {
    const { tenant, token, refused } = await onlyToken(files, beginning)
    const revoked = { ...token, revoked: token.revoked ?? new Date(now).toISOString() }
    const tokens = tenant.tokens.map((each) => (each.id === token.id ? revoked : each))
    await files.save({ ...tenant, tokens })
    return { tenant: tenant.tenant, token: revoked, refused }
  })
}

/** All tenants, sorted by name. @throws CONFIG_INVALID when the directory cannot be read */
export async function readTenants(files: TenantFiles): Promise<ReadTenants> {
  const names = await files.names()
  const read = await Promise.all(names.map((name) => files.read(name).catch(asRefusal)))
  return {
    tenants: read.filter((each) => each !== undefined && !(each instanceof PolyVeilError)) as Tenant[],
    refused: read.filter((each) => each instanceof PolyVeilError),
  }
}

function asRefusal(error: unknown): PolyVeilError {
  if (error instanceof PolyVeilError) return error
  throw error
}

async function onlyToken(
  files: TenantFiles,
  beginning: string,
): Promise<{ tenant: Tenant; token: StoredToken; refused: ReadTenants['refused'] }> {
  const { tenants, refused } = await readTenants(files)
  const found = tenants.flatMap((tenant) =>
    tenant.tokens.filter(({ id }) => id.startsWith(beginning)).map((token) => ({ tenant, token, refused })),
  )
  if (found.length === 1 && beginning.length >= LEAST_ID) return found[0]
  throw notOne(files, found.length, beginning, refused)
}

function notOne(
  { directory }: TenantFiles,
  count: number,
  beginning: string,
  refused: ReadTenants['refused'],
): PolyVeilError {
  const others = refused.map(({ message }) => `; ${message}`).join('')
  const none = `No token in ${directory} has an id that begins so${others}`
  const why = beginning.length < LEAST_ID ? `Give at least ${LEAST_ID} characters of the id` : undefined
  return new PolyVeilError(
    'CONFIG_INVALID',
    why ?? (count === 0 ? none : `${count} tokens have an id that begins so`),
    { matches: count },
    { remedy: 'polyveil tokens list shows the ids.' },
  )
}

async function requireTenant(files: TenantFiles, name: string): Promise<Tenant> {
  requireTenantName(name)
  const tenant = await files.read(name)
  if (tenant !== undefined) return tenant
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `There is no tenant of this name in ${files.directory}`,
    {},
    { remedy: 'polyveil tokens list shows the tenants; polyveil tokens create makes one.' },
  )
}
