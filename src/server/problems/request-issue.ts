import { z } from 'zod'

/** How sentences name a part of a request, and how facts do. */
export interface RequestPart {
  /** The part as a whole: "The body". */
  readonly whole: string
  /** One of its members: "The header Upload-Offset". */
  readonly member: (name: string) => string
  /** What the fact `field` begins with. */
  readonly field: string
}

/** A sentence about what is wrong, and the name of the place for programs. */
export interface RequestIssue {
  readonly message: string
  readonly field: string
}

/** The JSON Schema of a part, as far as sentences use it. */
interface Described {
  readonly type?: string
  readonly description?: string
  /** `password` marks a secret, as in OpenAPI. */
  readonly format?: string
  readonly properties?: Readonly<Record<string, Described>>
  readonly prefixItems?: readonly Described[]
  readonly items?: Described
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Described>>
}

type Issue = z.core.$ZodIssue

/**
 * Makes a function that says in a sentence what is wrong with a part of a request: which member, what was
 * found there, and what is expected. Secrets are not repeated.
 */
export function issueDescriber(
  part: RequestPart,
  schema: z.ZodType,
): (data: unknown, error: z.ZodError) => RequestIssue {
  const described = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Described
  return (data, { issues: [issue] }) => {
    const place = {
      name: issue.path.length === 0 ? part.whole : part.member(issue.path.join('.')),
      // Fastify has null in place of a body that is not there.
      value: valueAt(data ?? undefined, issue.path),
      schema: schemaAt(described, issue.path) ?? {},
    }
    const field = [part.field, ...issue.path].filter((name) => name !== '').join('.')
    return { message: sentence(place, issue), field }
  }
}

interface Place {
  readonly name: string
  readonly value: unknown
  readonly schema: Described
}

function sentence(place: Place, issue: Issue): string {
  const { name, value, schema } = place
  if (issue.code === 'unrecognized_keys') return `${name} has an unknown member: ${quoted(issue.keys[0])}`
  if (value !== undefined) return `${name} ${found(place)}; it ${expectation(issue, schema)}`
  const meaning =
    schema.description && `is ${schema.description[0].toLowerCase()}${schema.description.slice(1)}`
  return `${name} is missing; it ${meaning ?? expectation(issue, schema)}`
}

const MOST_REPEATED = 40

function found({ value, schema }: Place): string {
  if (value === '') return 'is empty'
  if (typeof value === 'string') {
    const repeated = schema.format !== 'password' && value.length <= MOST_REPEATED
    return repeated ? `is ${quoted(value)}` : `has ${value.length} characters`
  }
  if (Array.isArray(value)) return `is a list of ${value.length}`
  return typeof value === 'object' && value !== null ? 'is an object' : `is ${value}`
}

function expectation(issue: Issue, { type }: Described): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[type ?? ''] ?? KINDS[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`
    case 'too_small':
      return bounded(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)
    case 'too_big':
      return bounded(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)
    default:
      // Schemas word their own rules like this; texts of the library do not begin so.
      return issue.message.startsWith('must ') ? issue.message : 'must be as GET /openapi.json describes it'
  }
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  integer: 'a whole number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'a JSON object',
}

const UNITS: Readonly<Record<string, [one: string, many: string]>> = {
  string: ['character', 'characters'],
  array: ['item', 'items'],
}

function bounded(origin: string, relation: string, bound: number | bigint): string {
  const units = UNITS[origin]
  if (units === undefined) return `must be ${relation} ${bound}`
  return `must have ${relation} ${bound} ${units[bound === 1 ? 0 : 1]}`
}

const quoted = (text: string): string =>
  JSON.stringify(text.length > MOST_REPEATED ? `${text.slice(0, MOST_REPEATED)}...` : text)

const valueAt = (data: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], data)

function schemaAt(root: Described, path: readonly PropertyKey[]): Described | undefined {
  // A schema with a name is among the definitions.
  const resolved = (node?: Described): Described | undefined =>
    node?.$ref === undefined ? node : root.$defs?.[node.$ref.replace('#/$defs/', '')]
  return path.reduce<Described | undefined>(
    (node, key) =>
      resolved(
        typeof key === 'number' ? (node?.prefixItems?.[key] ?? node?.items) : node?.properties?.[String(key)],
      ),
    resolved(root),
  )
}
