import { Readable } from 'node:stream'
import { z } from 'zod'
import { EVENTS_MEDIA_TYPE, KEY_SET_HEADER, ROUTES, routeOf } from '../../wire/protocol/index.ts'
import { inferenceEvents } from '../inference/events.ts'
import { inferenceSchema } from '../inference/inference.ts'
import type { App, Services } from '../services.ts'
import { ownInference } from './own-inference.ts'
import { bytesResponse, emptyResponse, keySetId, responses } from './schemas.ts'
import { whenClosed } from './when-closed.ts'

const params = z.object({ id: z.string().max(64).describe('The id that the client gave the inference') })
const headers = z.looseObject({
  [KEY_SET_HEADER]: keySetId.describe('Id of the key set that the inference began with'),
})

/** Routes to watch and cancel an inference. */
export function inferenceRoutes(app: App, { host }: Services): void {
  app.get(
    routeOf(ROUTES.inference),
    {
      schema: {
        tags: ['inference'],
        operationId: 'inferenceProgress',
        summary: 'Progress of an inference',
        params,
        headers,
        response: responses({ 200: inferenceSchema }, 404),
      },
    },
    async (request) => (await (await ownInference(host, request)).moment()).snapshot,
  )
  app.get(
    routeOf(ROUTES.inferenceEvents),
    {
      schema: {
        tags: ['inference'],
        operationId: 'inferenceEvents',
        summary: 'Progress as server-sent events: `progress`, at last `end`',
        params,
        headers,
        response: responses({ 200: bytesResponse(EVENTS_MEDIA_TYPE, 'Each event holds an Inference') }, 404),
      },
    },
    async (request, reply) => {
      const inference = await ownInference(host, request)
      const gone = new AbortController()
      whenClosed(reply, () => gone.abort())
      const events = Readable.from(inferenceEvents(inference, gone.signal))
      return reply.type(EVENTS_MEDIA_TYPE).header('cache-control', 'no-store').send(events)
    },
  )
  app.delete(
    routeOf(ROUTES.inference),
    {
      schema: {
        tags: ['inference'],
        operationId: 'cancelInference',
        summary: 'Cancel an inference',
        params,
        headers,
        response: responses({ 204: emptyResponse('It ends before its next operation') }, 404),
      },
    },
    async (request, reply) => {
      const inference = await ownInference(host, request)
      await inference.cancel()
      return reply.code(204).send(null)
    },
  )
}
