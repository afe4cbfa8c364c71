import type { FastifyBaseLogger } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import { type StoredToken, stateOf, type Tenant } from './tenant.ts'
import type { TenantFiles } from './tenant-files.ts'
import { hasHash, tokenParts } from './token.ts'

type TenantLog = Pick<FastifyBaseLogger, 'info' | 'warn'>

/** A tenant and the token that a request has sent. */
export interface TokenOwner {
  readonly tenant: Tenant
  readonly token: StoredToken
}

interface Loaded {
  readonly version: string
  /** Absent when the file is damaged. Its tokens are then refused. */
  readonly tenant?: Tenant
}

/** The tenants of a service, as their files were when `refresh` last looked at them. */
export class Tenants {
  readonly #files: TenantFiles
  readonly #log: TenantLog
  readonly #now: () => number
  readonly #loaded = new Map<string, Loaded>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  /** By the id of the token. */
  #tokens: ReadonlyMap<string, TokenOwner> = new Map()

  constructor(files: TenantFiles, log: TenantLog, now: () => number = Date.now) {
    this.#files = files
    this.#log = log
    this.#now = now
  }

  /** Tokens that are valid now. */
  get valid(): number {
    return [...this.#tokens.values()].filter(({ token }) => stateOf(token, this.#now()) === 'valid').length
  }

  get(name: string): Tenant | undefined {
    return this.#loaded.get(name)?.tenant
  }

  /**
   * Reads the files that have changed. A damaged file is logged, and its tenant has no tokens until it is
   * mended.
   */
  async refresh(): Promise<void> {
    const names = await this.#files.names()
    let changed = false
    for (const gone of [...this.#loaded.keys()].filter((name) => !names.includes(name))) {
      changed = this.#loaded.delete(gone)
    }
    for (const name of names) {
      const version = await this.#files.version(name)
      if (this.#loaded.get(name)?.version === version) continue
      this.#loaded.set(name, { version, tenant: await this.#read(name) })
      changed = true
    }
    if (changed) this.#index()
  }

  /** Refreshes again and again, with a pause in between. After a failure the tenants known before hold. */
  look(milliseconds: number): void {
    if (this.#isClosed) return
    const again = async (): Promise<void> => {
      await this.refresh().catch((err) => this.#log.warn({ err }, 'The tenants cannot be read'))
      this.look(milliseconds)
    }
    this.#timer = setTimeout(again, milliseconds).unref()
  }

  /** Ends `look`. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  /** The owner of a token. @throws UNAUTHENTICATED when the text is no token that is valid now */
  owner(text: string): TokenOwner {
    const parts = tokenParts(text)
    const owner = parts && this.#tokens.get(parts.id)
    if (!owner || !hasHash(parts.secret, owner.token.sha256)) throw refused('is not known here')
    const state = stateOf(owner.token, this.#now())
    if (state === 'expired') throw refused(`expired at ${owner.token.expires}`)
    if (state === 'revoked') throw refused('has been revoked')
    return owner
  }

  async #read(name: string): Promise<Tenant | undefined> {
    try {
      return await this.#files.read(name)
    } catch (err) {
      this.#log.warn({ err, tenant: name }, 'The tokens of a tenant are refused: its file cannot be read')
      return undefined
    }
  }

  #index(): void {
    const tenants = [...this.#loaded.values()].flatMap(({ tenant }) => tenant ?? [])
    this.#tokens = new Map(
      tenants.flatMap((tenant) => tenant.tokens.map((token) => [token.id, { tenant, token }] as const)),
    )
    this.#log.info({ tenants: tenants.length, validTokens: this.valid }, 'Tenants were read')
  }
}

const refused = (why: string): PolyVeilError =>
  new PolyVeilError(
    'UNAUTHENTICATED',
    `The token ${why}`,
    {},
    {
      remedy: 'Ask the operator of the service for a token; polyveil tokens create makes one.',
    },
  )
