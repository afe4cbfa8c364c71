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
import type { ServedModel } from '../catalogue.ts'
import { inferenceResponse, parseInference, requireFrameBytes } from '../inference/binary-body.ts'
import { CLOSING, type Inference, inferenceSchema } from '../inference/inference.ts'
import type { Intake } from '../inference/intake.ts'
import { limitedBody } from '../inference/limited-body.ts'
import type { SentAnswer } from '../inference/reply-cache.ts'
import type { EngineOutput } from '../inference/round-mailbox.ts'
import { InferenceWatch } from '../metrics/inference-watch.ts'
import type { App, Services } from '../services.ts'
import type { HeldKeys } from '../stores/held-keys.ts'
import { nameOf } from '../stores/key-store.ts'
import { type ModelPath, modelAt } from './model-path.ts'
import { prefers } from './preferences.ts'
import { runQuery } from './run-query.ts'
import { bytesResponse, jsonHeader, modelParams, responses, wholeNumber } from './schemas.ts'
import { sendOutput } from './send-output.ts'

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
  const { models, metrics, inferences } = services
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
      const { params, headers, body, caller } = httpRequest
      const request = parseInference(asBytes(body), Number(headers[JSON_LENGTH_HEADER]))
      const { version }: ModelPath = params
      const model = models.forQuery(params.model, request.manifestDigest, version)
      requireFrameBytes(request, model)
      const keys = services.keysOf(httpRequest)
      takeKeys(keys, request.keySet, model)
      metrics.inferences.queryReceived(model.name, request.frame.length)
      const watch = new InferenceWatch(metrics, model, httpRequest)
      const isAsync = prefers(httpRequest, PREFER_ASYNC)
      const inference = inferences.begin({
        id: request.id,
        model: model.name,
        client: { tenant: caller.tenant, keySet: nameOf(request.keySet) },
        rounds: model.manifest.rounds,
        isAsync,
        encode: ({ id }, output) => encoded(services, model, id, output),
        onSending: watch.onSending,
      })
      if (!isAsync) tieTo(inference, reply, services.intake)
      const { onStage } = watch
      const logits = watch.follow(() =>
        runQuery(services, model, { ...request, keys, httpRequest, onStage }, inference),
      )
      const first = inference.rounds.begin(logits)
      if (!isAsync) return sendOutput(reply, inference, await first)
      await refusedAtOnce(first)
      return reply
        .code(202)
        .header('location', `/${pathOf(ROUTES.inference, { id: inference.id })}`)
        .header('preference-applied', PREFER_ASYNC)
        .send(inference.snapshot)
    },
  )
}

/** Cancels an inference whose client goes before it has the first answer: then it cannot continue. */
function tieTo(inference: Inference, reply: FastifyReply, intake: Intake): void {
  const leave = inference.idleTimer.enter()
  reply.raw.once('close', () => {
    leave()
    if (reply.raw.writableFinished) return
    // A server that shuts down closes connections itself.
    if (intake.state === 'ending') inference.stop(CLOSING)
    else inference.cancel()
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

function encoded({ metrics }: Services, model: ServedModel, id: string, output: EngineOutput): SentAnswer {
  const bytes = output.frame.length
  if (output.kind === 'refresh') metrics.inferences.refreshSent(model.name, bytes)
  else metrics.inferences.answerComputed(model.name, bytes)
  return inferenceResponse(model, id, output)
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
function takeKeys(keys: HeldKeys, id: string, { manifest }: ServedModel): void {
  const { digest, uploadOffset, bytes, parametersDigest, galoisElements } = keys.get(id)
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
  if (missing.length > 0) throw keysMissing(missing)
  keys.use(id)
}
