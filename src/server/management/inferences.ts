import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import type { InferenceUnderWay } from '../inference/host.ts'
import { inferenceSchema } from '../inference/inference.ts'
import { emptyResponse, responses } from '../openapi/response-schemas.ts'
import type { App, Services } from '../services.ts'
import { loggedName } from '../stores/store-log.ts'

const underWaySchema = inferenceSchema.extend({
  handle: z.string().describe('Names it here: clients choose ids, and two may choose the same one'),
  tenant: z.string().optional().describe('Absent where it began without a token'),
  keySet: z.string().describe('Name of its key set, the SHA-256 of the id'),
})
const listSchema = z
  .object({ inferences: z.array(underWaySchema).describe('The oldest first') })
  .meta({ id: 'InferencesUnderWay' })

export type InferenceList = z.infer<typeof listSchema>

const CANCELLED = 'The inference was cancelled by the operator of the service'

/** Inferences under way, of all tenants. */
export function inferenceRoutes(app: App, { host, audit }: Services): void {
  app.get(
    '/inferences',
    {
      schema: {
        tags: ['inference'],
        operationId: 'listInferences',
        summary: 'Inferences that have not ended',
        response: responses({ 200: listSchema }),
      },
    },
    async () => ({ inferences: (await host.underWay()).map(described) }),
  )
  app.delete(
    '/inferences/:handle',
    {
      schema: {
        tags: ['inference'],
        operationId: 'cancelInferenceUnderWay',
        summary: 'Cancel an inference',
        params: z.object({ handle: z.string().max(64).describe('As GET /inferences names it') }),
        response: responses({ 204: emptyResponse('It ends before its next operation') }, 404),
      },
    },
    async (request, reply) => {
      const found = (await host.underWay()).find(({ handle }) => handle === request.params.handle)
      if (found === undefined) throw unknownHandle()
      const { handle, snapshot, client } = found
      const facts = { model: snapshot.model, keySet: loggedName(client.keySet), ofTenant: client.tenant }
      audit('inference cancelled by an operator', request, facts)
      await host.stop(handle, CANCELLED)
      return reply.code(204).send(null)
    },
  )
}

const unknownHandle = (): PolyVeilError =>
  new PolyVeilError(
    'INFERENCE_UNKNOWN',
    'No inference under way has this handle',
    {},
    { remedy: 'GET /inferences lists those under way.' },
  )

const described = ({ handle, snapshot, client }: InferenceUnderWay): z.infer<typeof underWaySchema> => ({
  ...snapshot,
  handle,
  tenant: client.tenant,
  keySet: client.keySet,
})
