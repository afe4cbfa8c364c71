import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { PolyVeilError, refusedFile } from '../errors/index.ts'
import { trustedProxies } from './addresses/trusted-proxies.ts'

const MEGABYTE = 2 ** 20
/** With spaces around it, which files of settings for the environment may have. */
const DECIMAL = /^\s*-?\d+(\.\d+)?\s*$/

/**
 * A number as JSON has it, or its text in the environment. `Number` alone would take an empty text, null and
 * an empty list for 0.
 */
const numeric = z.union(
  [z.number(), z.string().regex(DECIMAL).transform(Number)],
  'must be a number in decimal digits',
)
const positive = (most: number) => numeric.pipe(z.number().positive().max(most))
const whole = (least: number, most: number) => numeric.pipe(z.number().int().min(least).max(most))

const origin = z
  .string()
  .refine(isOrigin, 'must be an origin as browsers write it, such as https://app.example')

/**
 * All settings of the server. `environmentName` gives the environment variable of each.
 */
export const configSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('address to listen on'),
  port: whole(0, 65_535).default(8080).describe('port to listen on; 0 takes any free one'),
  managementHost: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('address of the management port; beyond loopback addresses it needs tokens of the scope admin'),
  managementPort: whole(0, 65_535)
    .optional()
    .describe(
      'port of health, metrics and administration; 0 takes any free one, and without it there is none',
    ),
  managementAccess: z
    .enum(['tokens', 'open'])
    .optional()
    .describe(
      'whether the management port needs tokens of the scope admin; by default it is open on loopback addresses',
    ),
  publicMetrics: z
    .enum(['on', 'off'])
    .default('on')
    .describe('whether the public port has /metrics; the management port always has it'),
  backupDir: z
    .string()
    .min(1)
    .optional()
    .describe('directory below which the management port makes backups; without it there are none'),
  modelsDir: z
    .string()
    .min(1)
    .describe('directory of compiled circuits, *.pvc, or s3://BUCKET/PREFIX, of which cacheDir gets a copy'),
  modelsPollSeconds: whole(0, 86_400)
    .default(2)
    .describe('seconds between two looks for new, changed and removed circuits; 0 looks at SIGHUP only'),
  dataDir: z.string().min(1).default('polyveil-data').describe('directory that key sets are kept in'),
  redis: z
    .string()
    .refine(
      isRedisAddress,
      'must be an address such as redis://HOST:6379 or rediss://USER:PASSWORD@HOST:6379',
    )
    .optional()
    .describe(
      'address of the Redis or Valkey that the processes of a service on several machines share; without it one process does all',
    ),
  redisPrefix: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, - and _')
    .default('polyveil')
    .describe('beginning of all names in Redis; services with different ones can share it'),
  keyStorage: z
    .string()
    .refine((text) => text.startsWith('s3://'), 'must be an address such as s3://BUCKET/PREFIX')
    .optional()
    .describe(
      'where the bytes of key sets are that several machines share, s3://BUCKET/PREFIX; by default in the data directory',
    ),
  s3Endpoint: z
    .string()
    .refine(
      isEndpoint,
      'must be a URL of http or https without a user and a password, which are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    )
    .optional()
    .describe('URL of a service that is compatible with S3; by default that of the variables AWS_...'),
  cacheDir: z
    .string()
    .min(1)
    .default('polyveil-cache')
    .describe(
      'local directory of this process alone for copies of circuits and key sets in S3; it is emptied at the start',
    ),
  cacheMegabytes: whole(16, 16_777_216)
    .default(8192)
    .describe('most disk space for copies of key sets; at least that of the largest one'),
  workers: whole(1, 256)
    .default(1)
    .describe('workers, each with memory and keys of its own, that compute at the same time'),
  inferencesPerWorker: whole(1, 64)
    .default(2)
    .describe(
      'inferences that a worker computes for in turns; those that wait for their clients do not count',
    ),
  // Node counts the processors that the quota of a container allows.
  threads: whole(1, 256)
    .default(() => availableParallelism())
    .describe('threads that work at one inference'),
  maxInferencesPerAddress: whole(1, 10_000)
    .default(16)
    .describe('inferences of one tenant or address at once, those that wait for their clients included'),
  maxInferencesPerKeySet: whole(1, 10_000)
    .default(2)
    .describe('inferences of one key set at once; further ones wait'),
  queue: whole(0, 10_000)
    .default(32)
    .describe(
      'inferences that may wait for a worker; those of one tenant or address fill half of it, and those of one key set a quarter',
    ),
  queueSeconds: whole(1, 86_400)
    .default(600)
    .describe('an inference that would wait longer for a worker, by estimate, is refused'),
  workerKeyMegabytes: whole(1, 65536).default(2048).describe('memory for loaded key sets in each worker'),
  engineMegabytes: whole(16, 65536)
    .default(4000)
    .describe(
      "most memory of each worker's engine: keys, constants and running programs together. Kernels reach 4 GB of it; " +
        'above that it holds keys and weights of large models',
    ),
  keyTtlHours: positive(24 * 366)
    .default(168)
    .describe('hours until a key set expires'),
  keyUploadMinutes: positive(24 * 60)
    .default(5)
    .describe('minutes after its last part until an incomplete key set expires'),
  maxKeySets: whole(1, 1_000_000).default(64).describe('key sets kept at once'),
  maxKeySetsPerAddress: whole(1, 1_000_000)
    .default(16)
    .describe(
      'complete key sets of one tenant or address; a further one takes the place of the least recently used',
    ),
  maxUploadsPerAddress: whole(1, 1_000_000)
    .default(4)
    .describe('incomplete key sets of one tenant or address'),
  maxKeySetMegabytes: whole(1, 16_384).default(512).describe('largest key set'),
  maxStoredMegabytes: whole(1, 16_777_216).default(16_384).describe('disk space for all key sets'),
  maxStoredMegabytesPerAddress: whole(1, 16_777_216)
    .default(8192)
    .describe(
      'disk space for the complete key sets of one tenant or address; the least recently used make room',
    ),
  requestsPerMinute: whole(1, 10_000_000).default(1200).describe('requests of one tenant or address'),
  maxOpenRequestsPerAddress: whole(1, 1_000_000)
    .default(128)
    .describe('requests of one tenant or address that are open at once'),
  maxConnectionsPerAddress: whole(1, 1_000_000)
    .default(256)
    .describe('connections of one address that are open at once, those of trusted proxies excepted'),
  maxBodyMegabytes: whole(1, 65_536)
    .default(512)
    .describe(
      'memory for queries and answers to refresh rounds that are arriving; one tenant or address takes a quarter of it',
    ),
  access: z
    .enum(['tokens', 'open'])
    .optional()
    .describe(
      'who may use the service: clients with a token of polyveil tokens, or all who reach it; by default programs ' +
        'of this machine on loopback addresses without proxies in front, and clients with tokens elsewhere',
    ),
  auditLog: z
    .string()
    .min(1)
    .optional()
    .describe('file that the audit log is appended to; by default its lines are in the log'),
  page: z
    .enum(['on', 'off'])
    .default('on')
    .describe('whether the address of the service shows the web page on which people classify pictures'),
  allowedOrigins: z
    .union([z.array(z.string()), z.string().transform(listed)])
    .pipe(z.array(origin).max(1000))
    .default([])
    .describe('origins of web pages that may use the service from a browser, separated by commas'),
  trustProxy: trustedProxies.describe(
    'proxies in front that are believed about the address of a client: their addresses, their number, or true',
  ),
  maxEventLoopDelayMs: whole(0, 600_000)
    .default(3000)
    .describe('requests are refused for a second after the event loop was blocked for longer; 0 never'),
  roundTimeoutSeconds: whole(1, 86_400)
    .default(60)
    .describe('time that a client may be silent in a refresh round before its inference ends'),
  contendedTimeoutSeconds: whole(1, 86_400)
    .default(15)
    .describe('the same while another inference waits for the memory that it holds'),
  maxInferenceMinutes: positive(24 * 60)
    .default(60)
    .describe('minutes after its query when an inference ends, finished or not'),
  answerMinutes: positive(24 * 60)
    .default(10)
    .describe('minutes for which the answer of an asynchronous inference is kept'),
  shutdownSeconds: whole(1, 3600)
    .default(60)
    .describe('time that running inferences, and clients with an answer to fetch, get at shutdown'),
  logLevel: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('least severity that is logged'),
})

export type ServerConfig = Readonly<z.infer<typeof configSchema>>
export type ServerOverrides = Partial<z.input<typeof configSchema>>

export interface ConfigSources {
  /** Settings of the command line; they have the highest precedence. */
  readonly overrides?: ServerOverrides
  readonly env?: Readonly<Record<string, string | undefined>>
  /** A JSON file with the same names; it has the lowest precedence. */
  readonly file?: string
}

/**
 * Reads the configuration: overrides, then the environment, then the file, then the defaults.
 *
 * @throws CONFIG_INVALID naming the first setting that is wrong
 */
export async function readConfig(sources: ConfigSources): Promise<ServerConfig> {
  const parsed = configSchema.safeParse(await settingsOf(sources))
  if (parsed.success) return Object.freeze(parsed.data)
  const [issue] = parsed.error.issues
  throw wrongSetting(issue.path.join('.') || sources.file, issue)
}

async function settingsOf({
  overrides = {},
  env = {},
  file,
}: ConfigSources): Promise<Record<string, unknown>> {
  return { ...(file && (await readSettings(file))), ...fromEnvironment(env), ...defined(overrides) }
}

const wrongSetting = (setting: string | undefined, { message }: z.core.$ZodIssue): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `Server setting ${setting}: ${message}`, { setting })

/**
 * The data directory of a service with these sources. Its other settings are not checked.
 *
 * @throws CONFIG_INVALID when it is empty, or the file cannot be read
 */
export async function readDataDirectory(sources: ConfigSources): Promise<string> {
  const { dataDir } = await settingsOf(sources)
  const parsed = configSchema.shape.dataDir.safeParse(dataDir)
  if (parsed.success) return parsed.data
  throw wrongSetting('dataDir', parsed.error.issues[0])
}

export const megabytes = (count: number): number => count * MEGABYTE

/** The environment variable of a setting: `POLYVEIL_KEY_TTL_HOURS` for `keyTtlHours`. */
export const environmentName = (setting: string): string =>
  `POLYVEIL_${setting.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** Variables of the command line, beside the settings of the server. */
const OTHER_VARIABLES = ['POLYVEIL_TOKEN', 'POLYVEIL_PASSPHRASE', 'POLYVEIL_DEBUG', 'POLYVEIL_SLOW']

/** Names of variables that look like settings and are none, such as misspelt ones. */
export function unknownVariables(env: NonNullable<ConfigSources['env']>): string[] {
  const known = [...Object.keys(configSchema.shape).map(environmentName), ...OTHER_VARIABLES]
  return Object.keys(env)
    .filter((name) => name.startsWith('POLYVEIL_') && !known.includes(name))
    .sort()
}

function fromEnvironment(env: NonNullable<ConfigSources['env']>): Record<string, string> {
  const entries = Object.keys(configSchema.shape).map((key) => [key, env[environmentName(key)]])
  return defined(Object.fromEntries(entries))
}

async function readSettings(file: string): Promise<Record<string, unknown>> {
  const name = `The configuration file ${file}`
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw refusedFile({ name }, cause)
  })
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text))
  } catch {
    throw new PolyVeilError('CONFIG_INVALID', `${name} is no JSON object`)
  }
}

/** The items of a list in an environment variable, which commas separate. */
function listed(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function isRedisAddress(text: string): boolean {
  return URL.canParse(text) && ['redis:', 'rediss:'].includes(new URL(text).protocol)
}

/** Settings are shown on the management port, so that this one has no secret. */
function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search } = new URL(text)
  return /^https?:$/.test(protocol) && username + password + search === ''
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text
}

const defined = <T extends object>(settings: T): T =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as T
