import type { FastifyBaseLogger } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'
import { HttpError } from '../problems/http-error.ts'
import { type Scope, type StoredToken, stateOf, type Tenant } from './tenant.ts'
import { type TenantChange, tenantChanges } from './tenant-changes.ts'
import { DamagedTenant, type TenantFiles } from './tenant-files.ts'
import { hasHash, tokenParts } from './token.ts'

type TenantLog = Pick<FastifyBaseLogger, 'info' | 'warn'>

/** A tenant and the token that a request has sent. */
export interface TokenOwner {
  readonly tenant: Tenant
  readonly token: StoredToken
}

/** Why a token is refused, for the audit log. */
export type RefusalReason = 'unknown' | 'in two places' | 'expired' | 'revoked'

/** 401 for a token that is not valid. */
export class RefusedToken extends PolyVeilError {
  readonly reason: RefusalReason
  /** The token's owner, where the request has its secret. */
  readonly owner: TokenOwner | undefined

  constructor(why: string, reason: RefusalReason, owner?: TokenOwner) {
    const remedy = 'Ask the operator of the service for a token; polyveil tokens create makes one.'
    super('UNAUTHENTICATED', `The token ${why}`, {}, { remedy })
    this.reason = reason
    this.owner = owner
  }
}

interface Loaded {
  /** Absent when the file could not be read, so that the next look tries again. */
  readonly version?: string
  /** Absent when the file is damaged. Its tokens are then refused. */
  readonly tenant?: Tenant
  /** What was logged about a file that cannot be read. */
  readonly trouble?: string
}

/** While the directory of tenants cannot be read, the tenants known before hold for this time. */
const TRUSTED_MILLISECONDS = 10_000

/** The tenants of a service, as their files were when `refresh` last looked at them. */
export class Tenants {
  readonly #files: TenantFiles
  readonly #log: TenantLog
  readonly #now: () => number
  readonly #onChange: (change: TenantChange) => void
  readonly #steady: () => number
  readonly #loaded = new Map<string, Loaded>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  #isLooking = false
  #isDirectoryOpen = false
  /** When `refresh` last succeeded, by the steady clock. */
  #refreshed = -Infinity
  #tenants: readonly Tenant[] = []
  /** By the id of the token. Several owners have an id that was copied from one file to another. */
  #tokens: ReadonlyMap<string, readonly TokenOwner[]> = new Map()

  /**
   * @param now the time of day, by which tokens expire
   * @param onChange gets what changes after the first refresh
   * @param steady milliseconds of a clock that is never set
   */
  constructor(
    files: TenantFiles,
    log: TenantLog,
    now: () => number = Date.now,
    onChange: (change: TenantChange) => void = () => {},
    steady: () => number = () => performance.now(),
  ) {
    this.#files = files
    this.#log = log
    this.#now = now
    this.#onChange = onChange
    this.#steady = steady
  }

  /** Tokens that are valid now. */
  get valid(): number {
    const single = [...this.#tokens.values()].filter(({ length }) => length === 1)
    return single.filter(([{ token }]) => stateOf(token, this.#now()) === 'valid').length
  }

  /** Whether a token that was revoked some seconds ago would be refused. */
  get isCurrent(): boolean {
    return !this.#isLooking || this.#steady() - this.#refreshed <= TRUSTED_MILLISECONDS
  }

  get all(): readonly Tenant[] {
    return [...this.#loaded.values()].flatMap(({ tenant }) => tenant ?? [])
  }

  /** Whether a token with this scope is valid now. */
  hasValid(scope: Scope): boolean {
    const single = [...this.#tokens.values()].filter(({ length }) => length === 1)
    return single.some(
      ([{ token }]) => token.scopes.includes(scope) && stateOf(token, this.#now()) === 'valid',
    )
  }

  get(name: string): Tenant | undefined {
    return this.#loaded.get(name)?.tenant
  }

  /**
   * Reads the files that have changed. A file that is damaged or cannot be read is logged, and its tenant has
   * no tokens until it is mended.
   */
  async refresh(): Promise<void> {
    const names = await this.#files.names()
    await this.#lookAtDirectory()
    let changed = false
    for (const gone of [...this.#loaded.keys()].filter((name) => !names.includes(name))) {
      changed = this.#loaded.delete(gone)
    }
    for (const name of names) changed = (await this.#refreshOne(name)) || changed
    if (changed) this.#index()
    this.#refreshed = this.#steady()
  }

  /** Refreshes again and again, with a pause in between. */
  look(milliseconds: number): void {
    if (this.#isClosed) return
    this.#isLooking = true
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

  /**
   * The owner of a token.
   *
   * @throws UNAUTHENTICATED when the text is no token that is valid now
   * @throws TOO_BUSY (503) when the tenants could not be read for a while, so that a revocation may be missed
   */
  owner(text: string): TokenOwner {
    const parts = tokenParts(text)
    const [owner, ...others] = (parts && this.#tokens.get(parts.id)) ?? []
    if (!owner || !hasHash(parts!.secret, owner.token.sha256)) throw unknown('unknown')
    if (others.length > 0) throw unknown('in two places', owner)
    const state = stateOf(owner.token, this.#now())
    if (state === 'expired') throw new RefusedToken(`expired at ${owner.token.expires}`, 'expired', owner)
    if (state === 'revoked') throw new RefusedToken('has been revoked', 'revoked', owner)
    if (!this.isCurrent) throw outdated()
    return owner
  }

  /** @returns whether the file has changed */
  async #refreshOne(name: string): Promise<boolean> {
    const { version, isWritableByOthers } = await this.#files.state(name)
    const before = this.#loaded.get(name)
    if (before?.version === version) return false
    const now = await this.#load(name, version, before?.trouble)
    this.#loaded.set(name, now)
    if (now.tenant && isWritableByOthers) {
      this.#log.warn({ tenant: name }, 'The file of a tenant can be written by other users of this machine')
    }
    return before === undefined || before.tenant !== now.tenant
  }

  async #load(name: string, version: string, logged: string | undefined): Promise<Loaded> {
    try {
      return { version, tenant: await this.#files.read(name) }
    } catch (err) {
      const isDamaged = err instanceof DamagedTenant
      const trouble = isDamaged ? undefined : String(err)
      if (isDamaged || trouble !== logged) {
        this.#log.warn({ err, tenant: name }, 'The tokens of a tenant are refused: its file cannot be read')
      }
      // The same version may be readable later, for instance when its rights are mended.
      return isDamaged ? { version } : { trouble }
    }
  }

  async #lookAtDirectory(): Promise<void> {
    const isOpen = await this.#files.isWritableByOthers()
    if (isOpen && !this.#isDirectoryOpen) {
      const { directory } = this.#files
      this.#log.warn({ directory }, 'The directory of tenants can be written by other users of this machine')
    }
    this.#isDirectoryOpen = isOpen
  }

  #index(): void {
    const isFirst = this.#refreshed === -Infinity
    const before = this.#tenants
    this.#tenants = [...this.#loaded.values()].flatMap(({ tenant }) => tenant ?? [])
    const owners = this.#tenants.flatMap((tenant) => tenant.tokens.map((token) => ({ tenant, token })))
    this.#tokens = Map.groupBy(owners, ({ token }) => token.id)
    for (const [token, several] of this.#tokens) {
      if (several.length < 2) continue
      const tenants = several.map(({ tenant }) => tenant.tenant)
      this.#log.warn({ token, tenants }, 'A token is refused: its id is in two places')
    }
    this.#log.info({ tenants: this.#tenants.length, validTokens: this.valid }, 'Tenants were read')
    if (!isFirst) for (const change of tenantChanges(before, this.#tenants)) this.#onChange(change)
  }
}

// The client is not told which of the two it is.
const unknown = (reason: RefusalReason, owner?: TokenOwner): RefusedToken =>
  new RefusedToken('is not known here', reason, owner)

const outdated = (): HttpError =>
  new HttpError(
    503,
    'TOO_BUSY',
    'The service cannot look whether the token has been revoked',
    { retryAfter: 5 },
    { remedy: 'Try again later; the log of the service says why it cannot read its tenants.' },
  )
