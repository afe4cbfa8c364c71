import { Readable } from 'node:stream'
import { z } from 'zod'
import { EVENTS_MEDIA_TYPE, ROUTES, routeOf } from '../../wire/protocol/index.ts'
import { inferenceEvents } from '../inference/events.ts'
import { inferenceSchema } from '../inference/inference.ts'
import type { App, Services } from '../services.ts'
import { bytesResponse, emptyResponse, responses } from './schemas.ts'

const params = z.object({ id: z.string().max(64).describe('The id that the client gave the inference') })

/** Routes to watch and cancel an inference while its POST is open. */
export function inferenceRoutes(app: App, { inferences }: Services): void {
  app.get(
    routeOf(ROUTES.inference),
    {
      schema: {
        tags: ['inference'],
        summary: 'Progress of an inference',
        params,
        response: responses({ 200: inferenceSchema }),
      },
    },
    ({ params: { id } }) => inferences.get(id).snapshot,
  )
  app.get(
    routeOf(ROUTES.inferenceEvents),
    {
      schema: {
        tags: ['inference'],
        summary: 'Progress as server-sent events: `progress`, at last `end`',
        params,
        response: responses({ 200: bytesResponse(EVENTS_MEDIA_TYPE, 'Each event holds an Inference') }),
      },
    },
    async ({ params: { id } }, reply) => {
      const inference = inferences.get(id)
      const gone = new AbortController()
      reply.raw.once('close', () => gone.abort())
      const events = Readable.from(inferenceEvents(inference, gone.signal))
      return reply.type(EVENTS_MEDIA_TYPE).header('cache-control', 'no-store').send(events)
    },
  )
  app.delete(
    routeOf(ROUTES.inference),
    {
      schema: {
        tags: ['inference'],
        summary: 'Cancel an inference',
        params,
        response: responses({ 204: emptyResponse('It ends before its next operation') }),
      },
    },
    async ({ params: { id } }, reply) => {
      inferences.get(id).cancel()
      return reply.code(204).send(null)
    },
  )
}
