import { Command, InvalidArgumentError, Option } from 'commander'
import type { Quota, Scope, StoredToken } from '../../server/access/tenant.ts'
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
      new Option('--scope <scope...>', 'what the token allows: infer, or metrics to read /metrics')
        .choices(['infer', 'metrics'])
        .default(['infer']),
    )
    .option('--expires <days>', `days until it expires, or never (default: ${DEFAULT_DAYS})`, lifetime)
    .option('--note <text>', 'a note for the list of tokens')
  for (const [flag, what] of LIMITS) create.option(`--${flag} <n>`, what, whole(1, MOST))
  const commands = [
    create.action(act(createOne)),
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
  _context: CommandContext,
  tenant: string,
  { scope, expires = DEFAULT_DAYS * DAY_MILLISECONDS, note, ...rest }: CreateFlags,
): Promise<Outcome> {
  const { createToken } = await import('../../server/access/manage-tokens.ts')
  const made = await createToken(await filesOf(rest), {
    tenant,
    scopes: scope,
    lifetime: Number.isFinite(expires) ? expires : undefined,
    note,
    quota: quotaIn(rest),
  })
  const { sha256: _, ...shown } = made.token
  return {
    document: { token: made.text, tenant, quota: made.tenant.quota, ...shown },
    text: made.text,
  }
}

/** The limits that were given. */
function quotaIn({ imagesPerDay, images, requestsPerMinute, inferences, keySets }: Quota): Quota {
  const given = { imagesPerDay, images, requestsPerMinute, inferences, keySets }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

async function list(_context: CommandContext, flags: Where): Promise<Outcome> {
  const { allTenants } = await import('../../server/access/manage-tokens.ts')
  const { stateOf } = await import('../../server/access/tenant.ts')
  const now = Date.now()
  const tenants = (await allTenants(await filesOf(flags))).map(({ tenant, quota, tokens }) => ({
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
    document: { tenants },
    text: rows.length === 0 ? 'There are no tokens.' : [table([heading, ...rows]), ...limits].join('\n'),
  }
}

const quotaText = (quota: Quota): string =>
  Object.entries(quota)
    .map(([limit, value]) => `${limit} ${value}`)
    .join(', ')

const day = (instant: StoredToken['created']): string => instant.slice(0, 10)

async function revoke(_context: CommandContext, id: string, flags: Where): Promise<Outcome> {
  const { revokeToken } = await import('../../server/access/manage-tokens.ts')
  const { tenant, token } = await revokeToken(await filesOf(flags), id)
  return {
    document: { tenant, id: token.id, revoked: token.revoked },
    text: `The token ${token.id} of ${tenant} is revoked.`,
  }
}

/** The tenants of the data directory that the service uses under the same settings. */
async function filesOf({ data: dataDir, config: file }: Where) {
  const { readConfig } = await import('../../server/config.ts')
  const { TenantFiles } = await import('../../server/access/tenant-files.ts')
  // The service needs circuits; tokens do not.
  const env = { POLYVEIL_MODELS_DIR: '.', ...process.env }
  const config = await readConfig({ overrides: { dataDir }, env, file })
  return new TenantFiles(config.dataDir)
}

/** For commander: days, or never, in milliseconds. */
function lifetime(text: string): number {
  if (text === 'never') return Infinity
  const days = Number(text)
  if (/^\d+$/.test(text) && days >= 1 && days <= MOST_DAYS) return days * DAY_MILLISECONDS
  throw new InvalidArgumentError(`It must be a number of days from 1 to ${MOST_DAYS}, or never.`)
}
