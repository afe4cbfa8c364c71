import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { PolyVeilError } from '../../errors/index.ts'
import type { QuotaChange } from '../../server/access/manage-tokens.ts'
import { MOST_NOTE } from '../../server/access/note.ts'
import type { Quota, Scope, StoredToken } from '../../server/access/tenant.ts'
import type { TenantFiles } from '../../server/access/tenant-files.ts'
import { act, type CommandContext, command, type Outcome, quietParser } from '../command.ts'
import { whole } from '../input/option-values.ts'
import { table } from '../output/table.ts'

interface Where {
  readonly data?: string
  readonly config?: string
}

type CreateFlags = Where &
  Quota & {
    readonly scope: readonly Scope[]
    readonly expires: number
    readonly note?: string
  }

const NONE = 'none'

type LimitFlags = Where & { readonly [Limit in keyof Quota]?: number | typeof NONE }

const DAY_MILLISECONDS = 86_400_000
const DEFAULT_DAYS = 90
const MOST_DAYS = 3650
const MOST = 1_000_000_000

/** `polyveil tokens` */
export function tokensCommand(): Command {
  const tokens = quietParser(new Command('tokens')).description(
    'the tokens of the clients of a service, and their limits',
  )
  const create = withPlace(
    command('create', 'make a token for a tenant; it is shown this once').argument(
      '<tenant>',
      'name of a client or of an organisation; made when it is new',
    ),
  )
    .addOption(
      new Option(
        '--scope <scope...>',
        'what the token allows: infer, metrics to read /metrics, or admin for the management port',
      )
        .choices(['infer', 'metrics', 'admin'])
        .default(['infer']),
    )
    .option('--expires <days>', `days until it expires, or never (default: ${DEFAULT_DAYS})`, lifetime)
    .option('--note <text>', `a note for the list of tokens, at most ${MOST_NOTE} characters`, noteText)
  for (const [flag, what] of LIMITS) create.option(`--${flag} <n>`, what, whole(1, MOST))
  const limit = withPlace(
    command('limit', 'set or remove limits of a tenant').argument('<tenant>', 'name of the tenant'),
  )
  for (const [flag, what] of LIMITS)
    limit.option(`--${flag} <n>`, `${what}; none removes the limit`, limitValue)
  const commands = [
    create.action(act(createOne)),
    limit.action(act(changeLimits)),
    withPlace(command('list', 'tenants, their limits, and their tokens by id')).action(act(list)),
    withPlace(
      command('revoke', 'end the use of a token; the service notices within two seconds').argument(
        '<id>',
        'beginning of its id, as the list shows it',
      ),
    ).action(act(revoke)),
  ]
  for (const each of commands) tokens.addCommand(each)
  return tokens
}

const LIMITS = [
  ['images-per-day', 'images that the tenant may classify in a day (UTC); a batch counts all of its images'],
  ['images', 'images that the tenant may classify in all'],
  ['requests-per-minute', 'requests of the tenant in a minute'],
  ['inferences', 'inferences of the tenant at once'],
  ['key-sets', 'complete key sets of the tenant'],
] as const

const withPlace = (each: Command): Command =>
  each
    .option('--data <dir>', 'data directory of the service (default: that of the configuration)')
    .option('--config <file>', 'configuration file of the service')

async function createOne(
  { progress }: CommandContext,
  tenant: string,
  { scope, expires = DEFAULT_DAYS * DAY_MILLISECONDS, note, ...rest }: CreateFlags,
): Promise<Outcome> {
  const { createToken } = await import('../../server/access/manage-tokens.ts')
  const directory = await directoryOf(rest)
  requireParent(directory)
  if (!existsSync(directory))
    progress.warn(`warning: ${directory} is new; it must be the dataDir of the service`)
  const made = await createToken(await filesIn(directory), {
    tenant,
    scopes: scope,
    lifetime: Number.isFinite(expires) ? expires : undefined,
    note,
    quota: limitsIn(rest) as Quota,
  })
  const { sha256: _, ...shown } = made.token
  return {
    document: { token: made.text, tenant, quota: made.tenant.quota, ...shown },
    text: made.text,
  }
}

async function changeLimits(
  { progress }: CommandContext,
  tenant: string,
  flags: LimitFlags,
): Promise<Outcome> {
  const { changeQuota } = await import('../../server/access/manage-tokens.ts')
  const { quota } = await changeQuota(await existingFiles(flags, progress), tenant, limitsIn(flags))
  return { document: { tenant, quota }, text: `${tenant}: ${quotaText(quota) || 'no limits of its own'}` }
}

/** The limits that were given; null stands for one to remove. */
function limitsIn({ imagesPerDay, images, requestsPerMinute, inferences, keySets }: LimitFlags): QuotaChange {
  const given = { imagesPerDay, images, requestsPerMinute, inferences, keySets }
  return Object.fromEntries(
    Object.entries(given)
      .filter(([, value]) => value !== undefined)
      .map(([limit, value]) => [limit, value === NONE ? null : value]),
  )
}

async function list({ progress }: CommandContext, flags: Where): Promise<Outcome> {
  const { readTenants } = await import('../../server/access/manage-tokens.ts')
  const { stateOf } = await import('../../server/access/tenant.ts')
  const now = Date.now()
  const found = await readTenants(await existingFiles(flags, progress))
  for (const { message } of found.refused) progress.warn(`warning: ${message}`)
  const tenants = found.tenants.map(({ tenant, quota, tokens }) => ({
    tenant,
    quota,
    tokens: tokens.map(({ sha256: _, ...token }) => ({
      ...token,
      state: stateOf(token, now),
    })),
  }))
  const rows = tenants.flatMap(({ tenant, tokens }) =>
    tokens.map(({ id, scopes, state, created, expires, note }) => [
      tenant,
      id,
      scopes.join(', '),
      state,
      day(created),
      expires === undefined ? 'never' : day(expires),
      note ?? '',
    ]),
  )
  const limits = tenants
    .filter(({ quota }) => Object.keys(quota).length > 0)
    .map(({ tenant, quota }) => `${tenant}: ${quotaText(quota)}`)
  const heading = ['tenant', 'token', 'scopes', 'state', 'created', 'expires', 'note']
  return {
    document: { tenants, refused: found.refused.map(({ message, remedy }) => ({ message, remedy })) },
    text: [rows.length === 0 ? 'There are no tokens.' : table([heading, ...rows]), ...limits].join('\n'),
  }
}

const quotaText = (quota: Quota): string =>
  Object.entries(quota)
    .map(([limit, value]) => `${limit} ${value}`)
    .join(', ')

const day = (instant: StoredToken['created']): string => instant.slice(0, 10)

async function revoke({ progress }: CommandContext, id: string, flags: Where): Promise<Outcome> {
  const { revokeToken } = await import('../../server/access/manage-tokens.ts')
  const { tenant, token, refused } = await revokeToken(await existingFiles(flags, progress), id)
  for (const { message } of refused) progress.warn(`warning: ${message}`)
  return {
    document: { tenant, id: token.id, revoked: token.revoked },
    text: `The token ${token.id} of ${tenant} is revoked.`,
  }
}

/** The data directory that the service uses under the same settings; its other settings may be wrong. */
async function directoryOf({ data: dataDir, config: file }: Where): Promise<string> {
  const { readDataDirectory } = await import('../../server/config.ts')
  return resolve(await readDataDirectory({ overrides: { dataDir }, env: process.env, file }))
}

async function filesIn(directory: string): Promise<TenantFiles> {
  const { TenantFiles } = await import('../../server/access/tenant-files.ts')
  return new TenantFiles(directory)
}

/** The tenants of a directory that should be there. */
async function existingFiles(flags: Where, progress: CommandContext['progress']): Promise<TenantFiles> {
  const directory = await directoryOf(flags)
  if (!existsSync(directory)) progress.warn(`warning: there is no directory ${directory}`)
  return filesIn(directory)
}

/** A service makes its data directory, so it may be new. A path with further new parts is a slip. */
function requireParent(directory: string): void {
  const parent = dirname(directory)
  if (existsSync(parent)) return
  const remedy =
    'Give the dataDir of the service with --data or --config; start the service first if it is new.'
  throw new PolyVeilError('CONFIG_INVALID', `There is no directory ${parent}`, {}, { remedy })
}

/** For commander: days, or never, in milliseconds. */
function lifetime(text: string): number {
  if (text === 'never') return Infinity
  const days = Number(text)
  if (/^\d+$/.test(text) && days >= 1 && days <= MOST_DAYS) return days * DAY_MILLISECONDS
  throw new InvalidArgumentError(`It must be a number of days from 1 to ${MOST_DAYS}, or never.`)
}

/** For commander, which takes no null: a limit, or `none`. */
const limitValue = (text: string): number | typeof NONE => (text === NONE ? NONE : whole(1, MOST)(text))

function noteText(text: string): string {
  if (text.length <= MOST_NOTE) return text
  throw new InvalidArgumentError(`It has ${text.length} characters, more than ${MOST_NOTE}.`)
}
