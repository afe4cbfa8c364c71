import type { Counter, Registry } from 'prom-client'
import { counter } from './instruments.ts'

/** Codes with which a login is refused: no valid token, and a token without the scope. */
const LOGIN_CODES = ['UNAUTHENTICATED', 'FORBIDDEN']

/**
 * Metrics of tenants, by their names. Requests without a valid token have no tenant, and count for none:
 * their senders could choose any number of labels.
 */
export class TenantMetrics {
  readonly #requests: Counter<'tenant'>
  readonly #refusals: Counter<'tenant' | 'code'>
  readonly #images: Counter<'tenant'>
  readonly #logins: Counter<'code'>

  constructor(registry: Registry) {
    this.#requests = counter(registry, {
      name: 'polyveil_tenant_requests_total',
      help: 'Requests of a tenant',
      labelNames: ['tenant'],
    })
    this.#refusals = counter(registry, {
      name: 'polyveil_tenant_refusals_total',
      help: 'Requests of a tenant that were answered with an error, by its code',
      labelNames: ['tenant', 'code'],
    })
    this.#images = counter(registry, {
      name: 'polyveil_tenant_images_total',
      help: 'Images of a tenant that were classified; a batch counts in full',
      labelNames: ['tenant'],
    })
    this.#logins = counter(registry, {
      name: 'polyveil_refused_logins_total',
      help: 'Requests without a valid token (UNAUTHENTICATED) or the scope that they need (FORBIDDEN)',
      labelNames: ['code'],
    })
    for (const code of LOGIN_CODES) this.#logins.inc({ code }, 0)
  }

  /** @param code of the error with which the request was answered */
  request(tenant: string | undefined, code: string | undefined): void {
    if (tenant === undefined) return
    this.#requests.inc({ tenant })
    if (code !== undefined) this.#refusals.inc({ tenant, code })
  }

  classified(tenant: string | undefined, images: number): void {
    if (tenant !== undefined) this.#images.inc({ tenant }, images)
  }

  loginRefused(code: string): void {
    this.#logins.inc({ code })
  }
}
