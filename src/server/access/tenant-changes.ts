import type { StoredToken, Tenant } from './tenant.ts'

/** What an operator did to a tenant, as a running service sees it. */
export interface TenantChange {
  readonly event: 'token added' | 'token revoked' | 'token removed' | 'limits changed'
  readonly tenant: string
  /** Id of the token. */
  readonly token?: string
  /** The limits that hold now, as JSON. */
  readonly limits?: string
}

/** What has changed between two looks at all tenants. */
export function tenantChanges(before: readonly Tenant[], now: readonly Tenant[]): TenantChange[] {
  const names = new Set([...before, ...now].map(({ tenant }) => tenant))
  const of = (tenants: readonly Tenant[], name: string) => tenants.find(({ tenant }) => tenant === name)
  return [...names].flatMap((name) => changesOf(name, of(before, name), of(now, name)))
}

function changesOf(tenant: string, before: Tenant | undefined, now: Tenant | undefined): TenantChange[] {
  const old = byId(before)
  const current = byId(now)
  const changes: TenantChange[] = []
  for (const [token, { revoked }] of current) {
    if (!old.has(token)) changes.push({ event: 'token added', tenant, token })
    if (revoked !== undefined && old.get(token)?.revoked === undefined) {
      changes.push({ event: 'token revoked', tenant, token })
    }
  }
  for (const token of old.keys()) {
    if (!current.has(token)) changes.push({ event: 'token removed', tenant, token })
  }
  const limits = limitsOf(now)
  if (limits !== limitsOf(before)) changes.push({ event: 'limits changed', tenant, limits })
  return changes
}

const byId = (tenant: Tenant | undefined): Map<string, StoredToken> =>
  new Map(tenant?.tokens.map((token) => [token.id, token]))

const limitsOf = (tenant: Tenant | undefined): string => JSON.stringify(tenant?.quota ?? {})
