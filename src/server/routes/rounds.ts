import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import {
  ANSWER_HEADER_NAME,
  BYTES_MEDIA_TYPE,
  JSON_LENGTH_HEADER,
  KEY_SET_HEADER,
  PREFER_ASYNC,
  PREFER_HEADER,
  PREFER_MINIMAL,
  ROUTES,
  routeOf,
} from '../../wire/protocol/index.ts'
import type { HostedInference } from '../inference/host.ts'
import { limitedBody } from '../inference/limited-body.ts'
import type { App, Services } from '../services.ts'
import { asBytes } from './infer.ts'
import { findOwnInference, ownInference } from './own-inference.ts'
import { prefers } from './preferences.ts'
import { bytesResponse, emptyResponse, jsonHeader, keySetId, responses, wholeNumber } from './schemas.ts'
import { sendOutput } from './send-output.ts'
import { whenClosed } from './when-closed.ts'

const headersSchema = z.looseObject({
  [KEY_SET_HEADER]: keySetId.describe('The id of the key set that the inference began with'),
})
const params = z.object({
  id: z.string().max(64).describe('The id in the answer that asks for the round'),
  round: wholeNumber(0, 65_535).describe('The number of the round, from 0 on'),
})

const preferSchema = headersSchema.extend({
  [PREFER_HEADER]: z
    .string()
    .optional()
    .describe(
      `\`${PREFER_MINIMAL}\` (RFC 7240): no more than 204, for clients that fetch what comes next by GET`,
    ),
})

const OUTPUT = bytesResponse(
  BYTES_MEDIA_TYPE,
  'A JSON document, directly followed by the frame of a masked tensor or of the encrypted logits',
  jsonHeader(ANSWER_HEADER_NAME),
)

/** What is known of a request before its body is read. */
interface Asked {
  readonly inference: HostedInference
  /** Aborted when its client has gone, or has the whole answer. */
  readonly gone: AbortSignal
}

const asked = new WeakMap<FastifyRequest, Asked>()

/** Routes of refresh rounds: a client fetches a masked tensor and posts its reply. */
export async function roundRoutes(app: App, services: Services): Promise<void> {
  // Runs before the body is read (reject early, and the idle timer sees the upload) and after rate limiting.
  app.addHook('preParsing', async (request, reply) => {
    const inference = await ownInference(services.host, request)
    const leave = await inference.enter()
    const closed = new AbortController()
    asked.set(request, { inference, gone: closed.signal })
    whenClosed(reply, () => {
      leave()
      closed.abort()
    })
    if (request.method === 'POST') services.bodies.expect(request, reply, services.models.largestReply)
  })
  outputRoute(app, services)
  replyRoute(app, services)
}

/**
 * Exempts the inference's own client from the rate limit, which has counted the query, for as many requests
 * as its rounds take.
 */
const uncounted = ({ host }: Services) => ({
  allowList: async (request: FastifyRequest): Promise<boolean> =>
    (await (await findOwnInference(host, request))?.takeFreeRequest()) ?? false,
})

function outputRoute(app: App, services: Services): void {
  app.get(
    routeOf(ROUTES.round),
    {
      config: { answerHeaders: { 200: [JSON_LENGTH_HEADER] }, rateLimit: uncounted(services) },
      schema: {
        tags: ['inference'],
        operationId: 'refreshRequest',
        summary: 'The masked tensor of a refresh round',
        description:
          'Waits until it is there. Behind the last round come the encrypted logits: number 0 of an inference without rounds. ' +
          'With it a client has the next round while it works at one, or the answer of an inference that it began with ' +
          `\`${PREFER_HEADER}: ${PREFER_ASYNC}\`. An inference that failed gives its error.`,
        params,
        headers: headersSchema,
        response: responses({ 200: OUTPUT }, 404, 409, 410, 507),
      },
    },
    async (request, reply) => {
      const { inference, gone } = asked.get(request)!
      return sendOutput(reply, inference, await inference.output(request.params.round, gone))
    },
  )
}

function replyRoute(app: App, services: Services): void {
  const { models } = services
  app.addContentTypeParser(
    BYTES_MEDIA_TYPE,
    limitedBody(
      () => models.largestReply,
      (request, bytes) => asked.get(request)?.inference.receives(bytes),
    ),
  )
  app.post(
    routeOf(ROUTES.round),
    {
      config: {
        binaryBody: 'The frame of the refreshed tensor',
        answerHeaders: { 200: [JSON_LENGTH_HEADER], 204: ['preference-applied'] },
        rateLimit: uncounted(services),
      },
      schema: {
        tags: ['inference'],
        operationId: 'answerRefresh',
        summary: 'Answer a refresh round',
        description:
          'Idempotent: the same body gets the same bytes again. Another body for the round, or another round than one ' +
          'that waits, is 409.',
        params,
        headers: preferSchema,
        response: responses({ 200: OUTPUT, 204: emptyResponse('The answer is taken') }, 404, 409),
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const { round } = params
      const { inference, gone } = asked.get(request)!
      await inference.reply(round, asBytes(body))
      if (!prefers(request, PREFER_MINIMAL))
        return sendOutput(reply, inference, await inference.output(round + 1, gone))
      return reply.code(204).header('preference-applied', PREFER_MINIMAL).send(null)
    },
  )
}
