import { z } from 'zod'
import { tenantOf } from '../access/caller.ts'
import { TENANT_NAME } from '../access/tenant.ts'
import { emptyResponse, responses } from '../openapi/response-schemas.ts'
import { conflict } from '../problems/http-error.ts'
import { wholeNumber } from '../routes/schemas.ts'
import type { App, Services } from '../services.ts'
import { noSuchKeySet } from '../stores/key-set-errors.ts'
import { KEY_SET_NAME, type NamedKeySet } from '../stores/key-set-record.ts'
import { loggedName } from '../stores/store-log.ts'

const MOST = 1000
const DEFAULT = 100

const instant = z.iso.datetime()
const keySetSchema = z.object({
  name: z.string().describe('SHA-256 of its id. The id is a secret, which the service does not store'),
  tenant: z.string().optional().describe('Absent where it was announced without a token'),
  bytes: z.int().positive(),
  uploadedBytes: z.int().nonnegative(),
  complete: z.boolean(),
  parametersDigest: z.string(),
  created: instant.optional().describe('Absent in key sets of PolyVeil 0.1'),
  used: instant.optional(),
  expires: instant,
})

const pageSchema = z
  .object({
    keySets: z.array(keySetSchema).describe('Ordered by name'),
    total: z.int().nonnegative().describe('Key sets on all pages'),
    next: z.string().optional().describe('`after` of the next page; absent on the last one'),
  })
  .meta({ id: 'KeySetPage' })

export type KeySetPage = z.infer<typeof pageSchema>

const tenant = z.string().regex(TENANT_NAME, 'must be the name of a tenant')
const pageQuery = z.strictObject({
  tenant: tenant.optional().describe('Only key sets of this tenant'),
  after: z.string().regex(KEY_SET_NAME, 'must be the `next` of a page').optional(),
  limit: wholeNumber(1, MOST).optional().describe(`Most key sets of the page, by default ${DEFAULT}`),
})
const deletedSchema = z.object({ deleted: z.int().nonnegative() }).meta({ id: 'DeletedKeySets' })
const beginning = z
  .string()
  .regex(
    /^[0-9a-f]{12,64}$/,
    'must be 12 to 64 hexadecimal digits: a name, or its beginning as the log has it',
  )
  .describe('The name of a key set, or its beginning')

/** Stored key sets of all tenants, without the ids that give access to them. */
export function keySetRoutes(app: App, services: Services): void {
  const { keys, audit } = services
  const ofTenant = async (name: string | undefined): Promise<NamedKeySet[]> => {
    const live = await keys.live()
    return live.filter(([, { owner }]) => name === undefined || tenantOf(owner) === name)
  }
  app.get(
    '/keys',
    {
      schema: {
        tags: ['keys'],
        operationId: 'listKeySets',
        summary: 'Stored key sets, by pages',
        querystring: pageQuery,
        response: responses({ 200: pageSchema }),
      },
    },
    async ({ query: { tenant, after = '', limit = DEFAULT } }) =>
      pageOf(await ofTenant(tenant), after, limit),
  )
  app.delete(
    '/keys',
    {
      schema: {
        tags: ['keys'],
        operationId: 'deleteKeySetsOfTenant',
        summary: 'Delete all key sets of a tenant',
        querystring: z.strictObject({ tenant: tenant.describe('Whose key sets') }),
        response: responses({ 200: deletedSchema }, 507),
      },
    },
    async (request) => {
      const { tenant } = request.query
      const names = (await ofTenant(tenant)).map(([name]) => name)
      audit('key set deleted by an operator', request, { ofTenant: tenant, count: names.length })
      let deleted = 0
      for (const name of names) if (await keys.deleteNamed(name)) deleted++
      return { deleted }
    },
  )
  app.delete(
    '/keys/:name',
    {
      schema: {
        tags: ['keys'],
        operationId: 'deleteStoredKeySet',
        summary: 'Delete a key set',
        params: z.object({ name: beginning }),
        response: responses({ 204: emptyResponse('Deleted') }, 409, 410, 507),
      },
    },
    async (request, reply) => {
      const name = theOne(await keys.live(), request.params.name)
      audit('key set deleted by an operator', request, { keySet: loggedName(name) })
      if (!(await keys.deleteNamed(name))) throw noSuchKeySet()
      return reply.code(204).send(null)
    },
  )
}

function pageOf(sets: readonly NamedKeySet[], after: string, limit: number): KeySetPage {
  const rest = sets.filter(([name]) => name > after).sort(([a], [b]) => (a < b ? -1 : 1))
  const page = rest.slice(0, limit)
  return {
    keySets: page.map(described),
    total: sets.length,
    ...(rest.length > limit && { next: page.at(-1)![0] }),
  }
}

const described = ([name, record]: NamedKeySet): z.infer<typeof keySetSchema> => ({
  name,
  tenant: tenantOf(record.owner),
  bytes: record.bytes,
  uploadedBytes: record.uploadOffset,
  complete: record.digest !== undefined,
  parametersDigest: record.parametersDigest,
  created: instantOf(record.announced),
  used: instantOf(record.used),
  expires: new Date(record.expires).toISOString(),
})

const instantOf = (milliseconds: number | undefined): string | undefined =>
  milliseconds === undefined ? undefined : new Date(milliseconds).toISOString()

/** @throws KEYS_EXPIRED; CONFIG_INVALID (409) when several names begin so */
function theOne(sets: readonly NamedKeySet[], start: string): string {
  const [first, ...others] = sets.filter(([name]) => name.startsWith(start))
  if (first === undefined) throw noSuchKeySet()
  if (others.length === 0) return first[0]
  throw conflict('CONFIG_INVALID', `${others.length + 1} names of key sets begin so; give more digits`, {
    matches: others.length + 1,
  })
}
