import { z } from 'zod'
import { configSchema, environmentName } from '../../src/server/config.ts'
import { code, GENERATED, markdownTable } from './markdown.ts'

const INTRODUCTION = `# Settings of the service

\`polyveil serve\` and \`readConfig\` of \`polyveil/server\` take these settings. A setting comes from the first of these places
that has it:

1. a flag of \`polyveil serve\` ([command line](cli.md#polyveil-serve)),
2. an environment variable,
3. a field of the JSON file that \`--config\` names,
4. the default.

The file has the names of the first column:

    { "modelsDir": "models", "workers": 2, "allowedOrigins": ["https://app.example"] }

Unknown fields and values out of range are refused at the start, with \`CONFIG_INVALID\` and the name of the first wrong setting.
[Deployment](deployment.md) says how to choose limits, memory and \`trustProxy\`.`

/** Settings that have a flag, with the flag. */
const FLAGS: Readonly<Record<string, string>> = { modelsDir: '--models', port: '--port', host: '--host' }

/** Defaults that are not constants of the schema. */
const DEFAULTS: Readonly<Record<string, string>> = {
  modelsDir: 'the bundled networks, where neither `--models` nor `--config` is given',
  threads: 'the number of cores',
  allowedOrigins: 'no origin',
  managementPort: 'no port',
  managementAccess: '`open` on loopback addresses, else `tokens`',
  backupDir: 'none',
}

/** Kinds of values that the JSON schema does not state in one word. */
const KINDS: Readonly<Record<string, string>> = {
  allowedOrigins: 'list of origins; in the environment separated by commas',
  trustProxy:
    'true, false, a number of proxies, or a list of addresses and networks; in the environment with commas',
}

/** The part of a JSON schema that the page shows. */
interface Property {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
}

/** The text of docs/configuration.md: every setting of the schema, in the schema's order. */
export function configurationPage(): string {
  const { properties = {} } = z.toJSONSchema(configSchema, { io: 'output', unrepresentable: 'any' })
  const rows = Object.entries(properties as Record<string, Property>).map(([name, property]) => [
    code(name),
    code(environmentName(name)),
    kind(name, property),
    DEFAULTS[name] ?? code(String(property.default)),
    meaning(name, property),
  ])
  const heading = ['setting', 'environment variable', 'values', 'default', 'meaning']
  return `${[GENERATED, INTRODUCTION, markdownTable([heading, ...rows])].join('\n\n')}\n`
}

function kind(name: string, { type, enum: names, minimum, exclusiveMinimum, maximum }: Property): string {
  if (KINDS[name] !== undefined) return KINDS[name]
  if (names !== undefined) return names.map(code).join(', ')
  if (type === 'string') return 'text'
  const what = type === 'integer' ? 'whole number' : 'number'
  return exclusiveMinimum === undefined
    ? `${what}, ${minimum} to ${maximum}`
    : `${what} above ${exclusiveMinimum}, up to ${maximum}`
}

function meaning(name: string, { description = '' }: Property): string {
  const flag = FLAGS[name] === undefined ? '' : ` Flag: ${code(FLAGS[name])}.`
  return `${description.charAt(0).toUpperCase()}${description.slice(1)}.${flag}`
}
