import type { FastifyRequest } from 'fastify'
import { countedAddress, countedNetwork } from '../addresses/client-address.ts'
import type { Quota, Scope } from './tenant.ts'
import type { TokenOwner } from './tenants.ts'

/** Who sends a request, as limits and logs see it. */
export interface Caller {
  /** For whom limits count: a tenant, or an address where there are no tenants. */
  readonly owner: string
  /** For whom limits on whole networks count. It is the owner itself for a tenant. */
  readonly network: string
  /** Absent where the service is open. */
  readonly tenant?: string
  /** Id of the token. */
  readonly token?: string
  /** What the token allows; absent where the request has no valid one. */
  readonly scopes?: readonly Scope[]
  readonly quota: Quota
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller
  }
}

export function addressCaller({ ip }: Pick<FastifyRequest, 'ip'>): Caller {
  return { owner: `address:${countedAddress(ip)}`, network: `network:${countedNetwork(ip)}`, quota: {} }
}

export function tenantCaller({ tenant: { tenant, quota }, token }: TokenOwner): Caller {
  const owner = tenantOwner(tenant)
  return { owner, network: owner, tenant, token: token.id, scopes: token.scopes, quota }
}

const PREFIX = 'tenant:'

/** The owner of what belongs to a tenant. */
export const tenantOwner = (tenant: string): string => PREFIX + tenant

/** The tenant that something belongs to; undefined when the service was open as it was made. */
export const tenantOf = (owner: string | undefined): string | undefined =>
  owner?.startsWith(PREFIX) ? owner.slice(PREFIX.length) : undefined
