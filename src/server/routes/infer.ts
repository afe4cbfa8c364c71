import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { keysMissing } from '../../wire/index.ts'
import {
  ANSWER_HEADER_NAME,
  BYTES_MEDIA_TYPE,
  JSON_LENGTH_HEADER,
  MAX_JSON_HEADER_BYTES,
  PREFER_ASYNC,
  PREFER_HEADER,
  pathOf,
  QUERY_HEADER_NAME,
  ROUTES,
  routeOf,
} from '../../wire/protocol/index.ts'
import { parseInference, requireFrameBytes } from '../inference/binary-body.ts'
import type { HostedInference, QueryKeySet, QueryRequest } from '../inference/host.ts'
import { CLOSING, inferenceSchema } from '../inference/inference.ts'
import type { Intake } from '../inference/intake.ts'
import { limitedBody } from '../inference/limited-body.ts'
import type { ServedModel } from '../models/catalogue.ts'
import { unprocessable } from '../problems/http-error.ts'
import type { App, Services } from '../services.ts'
import { nameOf } from '../stores/key-store.ts'
import { contextOf } from '../tracing.ts'
import { type ModelPath, modelAt } from './model-path.ts'
import { prefers } from './preferences.ts'
import { bytesResponse, jsonHeader, modelParams, responses, wholeNumber } from './schemas.ts'
import { sendOutput } from './send-output.ts'
import { whenClosed } from './when-closed.ts'

const headersSchema = z.looseObject({
  [JSON_LENGTH_HEADER]: wholeNumber(1, MAX_JSON_HEADER_BYTES).describe(
    'The number of bytes of JSON at the beginning of the body',
  ),
  [PREFER_HEADER]: z
    .string()
    .optional()
    .describe(
      `\`${PREFER_ASYNC}\` (RFC 7240): 202 at once, for clients that fetch the answer later, as behind a proxy that ` +
        'closes idle connections',
    ),
})

const BODY = `A JSON document of ${JSON_LENGTH_HEADER} bytes, directly followed by the frame of the encrypted image`

/**
 * Inference in the Open Inference Protocol's binary form. The answer is the logits, or the first masked
 * tensor.
 */
export async function inferRoute(app: App, services: Services): Promise<void> {
  const { models, metrics } = services
  const mostBytes = ({ params }: FastifyRequest): number =>
    models.largestQuery((params as { model: string }).model) + MAX_JSON_HEADER_BYTES
  /** Ends the announcement of a query that has arrived. */
  const announced = new WeakMap<FastifyRequest, () => void>()
  app.addContentTypeParser(BYTES_MEDIA_TYPE, limitedBody(mostBytes))
  app.post(
    routeOf(ROUTES.infer),
    {
      config: {
        binaryBody: BODY,
        bodyHeader: QUERY_HEADER_NAME,
        answerHeaders: { 200: [JSON_LENGTH_HEADER], 202: ['location', 'preference-applied'] },
      },
      schema: {
        tags: ['inference'],
        operationId: 'infer',
        summary: 'Classify an encrypted image',
        params: modelParams,
        headers: headersSchema,
        response: responses(
          {
            200: bytesResponse(
              BYTES_MEDIA_TYPE,
              'A JSON document, directly followed by the frame of the encrypted logits or of a masked tensor',
              jsonHeader(ANSWER_HEADER_NAME),
            ),
            202: inferenceSchema,
          },
          404,
          409,
          410,
          422,
          507,
        ),
      },
      // Runs before the body is read, to reject a request early, and after the caller was let in.
      preParsing: async (request, reply) => {
        services.intake.require()
        modelAt(models, request.params as ModelPath)
        const most = mostBytes(request)
        requireRoom(Number(request.headers['content-length'] ?? 0), most)
        const arrived = services.engine.announce(request.caller.network)
        announced.set(request, arrived)
        reply.raw.once('close', arrived)
        services.bodies.expect(request, reply, most)
      },
    },
    async (httpRequest, reply) => {
      announced.get(httpRequest)?.()
      const { params, headers, body } = httpRequest
      const request = parseInference(asBytes(body), Number(headers[JSON_LENGTH_HEADER]))
      const { version }: ModelPath = params
      const model = models.forQuery(params.model, request.manifestDigest, version)
      requireFrameBytes(request, model)
      const stored = await takeKeys(services, httpRequest, request.keySet, model)
      metrics.inferences.queryReceived(model.name, request.frame.length)
      const isAsync = prefers(httpRequest, PREFER_ASYNC)
      const { inference, first } = await services.host.begin({
        request: queryRequest(httpRequest),
        model,
        keys: stored,
        frame: request.frame,
        id: request.id,
        isAsync,
      })
      if (!isAsync) {
        // An output that fails is for those who wait for it.
        first.catch(() => {})
        await tieTo(inference, reply, services.intake)
        return sendOutput(reply, inference, await first)
      }
      await refusedAtOnce(first)
      return reply
        .code(202)
        .header('location', `/${pathOf(ROUTES.inference, { id: inference.id })}`)
        .header('preference-applied', PREFER_ASYNC)
        .send((await inference.moment()).snapshot)
    },
  )
}

/** The parts of a request that outlive it. The request itself has the body of the query. */
const queryRequest = (request: FastifyRequest): QueryRequest => ({
  audited: { id: request.id, ip: request.ip, caller: request.caller, raw: request.raw },
  log: request.log,
  context: contextOf(request),
})

/** Cancels an inference whose client goes before it has the first answer: then it cannot continue. */
async function tieTo(inference: HostedInference, reply: FastifyReply, intake: Intake): Promise<void> {
  const leave = await inference.enter()
  whenClosed(reply, () => {
    leave()
    if (reply.raw.writableFinished) return
    // A server that shuts down closes connections itself.
    const ended = intake.state === 'ending' ? inference.stop(CLOSING) : inference.cancel()
    // Nobody is left to be told that it has ended already, or its process.
    ended.catch(() => {})
  })
}

/** Throws what refuses an inference before it waits for anything, such as a full queue or a spent budget. */
async function refusedAtOnce(first: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  setImmediate(resolve)
  // The outcome of an inference that runs on is for those who ask for it.
  first.catch(() => {})
  await Promise.race([promise, first])
}

export function asBytes(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array()
}

function requireRoom(bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return
  throw new PolyVeilError(
    'TOO_LARGE',
    `A query of ${bytes} bytes is larger than this model takes: ${maxBytes}`,
    {
      bytes,
      maxBytes,
    },
  )
}

/**
 * Marks a key set as used.
 *
 * @throws KEYS_EXPIRED, KEYS_MISSING, PARAMETERS_MISMATCH when it does not fit the model
 */
async function takeKeys(
  services: Services,
  request: FastifyRequest,
  id: string,
  model: ServedModel,
): Promise<QueryKeySet> {
  const keys = services.keysOf(request)
  const { manifest } = model
  const { digest, uploadOffset, bytes, parametersDigest, galoisElements } = await keys.get(id)
  if (digest === undefined) {
    throw new PolyVeilError('KEYS_MISSING', 'The upload of the key set is not complete', {
      uploadOffset,
      bytes,
    })
  }
  if (parametersDigest !== manifest.parametersDigest) {
    throw new PolyVeilError('PARAMETERS_MISMATCH', 'The key set was made for other encryption parameters', {
      served: manifest.parametersDigest,
    })
  }
  const present = new Set(galoisElements)
  const missing = manifest.galoisElements.filter((element) => !present.has(element))
  if (missing.length > 0) throw unprocessable(keysMissing(missing))
  await keys.use(id)
  return { name: nameOf(id), locate: () => keys.location(id), discard: () => services.keys.discard(id) }
}
