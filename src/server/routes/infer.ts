import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { keysMissing } from '../../wire/index.ts'
import {
  ANSWER_HEADER_NAME,
  BYTES_MEDIA_TYPE,
  JSON_LENGTH_HEADER,
  MAX_JSON_HEADER_BYTES,
  QUERY_HEADER_NAME,
  ROUTES,
  routeOf,
} from '../../wire/protocol/index.ts'
import type { ServedModel } from '../catalogue.ts'
import {
  type InferenceRequest,
  inferenceResponse,
  parseInference,
  requireFrameBytes,
} from '../inference/binary-body.ts'
import { InferenceCancelled } from '../inference/engine.ts'
import type { Inference } from '../inference/inference.ts'
import { limitedBody } from '../inference/limited-body.ts'
import type { SentAnswer } from '../inference/reply-cache.ts'
import type { EngineOutput } from '../inference/round-mailbox.ts'
import { conflict } from '../problems/http-error.ts'
import type { App, Services } from '../services.ts'
import type { HeldKeys } from '../stores/held-keys.ts'
import { type KeyStore, nameOf } from '../stores/key-store.ts'
import { loggedName } from '../stores/store-log.ts'
import { type ModelPath, modelAt } from './model-path.ts'
import { bytesResponse, jsonHeader, modelParams, responses, wholeNumber } from './schemas.ts'

const headersSchema = z.looseObject({
  [JSON_LENGTH_HEADER]: wholeNumber(1, MAX_JSON_HEADER_BYTES).describe(
    'The number of bytes of JSON at the beginning of the body',
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
  app.addContentTypeParser(BYTES_MEDIA_TYPE, limitedBody(mostBytes))
  app.post(
    routeOf(ROUTES.infer),
    {
      config: {
        binaryBody: BODY,
        bodyHeader: QUERY_HEADER_NAME,
        answerHeaders: { 200: [JSON_LENGTH_HEADER] },
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
        services.bodies.expect(request, reply, most)
      },
    },
    async (httpRequest, reply) => {
      const { params, headers, body, caller } = httpRequest
      const request = parseInference(asBytes(body), Number(headers[JSON_LENGTH_HEADER]))
      const { version }: ModelPath = params
      const model = models.forQuery(params.model, request.manifestDigest, version)
      requireFrameBytes(request, model)
      const keys = services.keysOf(httpRequest)
      takeKeys(keys, request.keySet, model)
      const inference = inferences.begin({
        id: request.id,
        model: model.name,
        client: { tenant: caller.tenant, keySet: nameOf(request.keySet) },
        rounds: model.manifest.rounds,
        encode: ({ id }, output) => encoded(services, model, id, output),
      })
      const leave = inference.idleTimer.enter()
      reply.raw.once('close', () => {
        leave()
        // The client that sent the query has gone without its answer, so it cannot continue the inference.
        if (!reply.raw.writableFinished) inference.cancel()
      })
      const logits = metrics.timeInference(model.name, () =>
        run(services, model, { ...request, keys, httpRequest }, inference),
      )
      const { jsonBytes, body: answer } = await inference.rounds.begin(logits)
      return reply.type(BYTES_MEDIA_TYPE).header(JSON_LENGTH_HEADER, jsonBytes).send(answer)
    },
  )
}

/** A query, the key sets that its sender may use, and the request that it came with. */
interface Query extends InferenceRequest {
  readonly keys: HeldKeys
  readonly httpRequest: FastifyRequest
}

/** Waits for a place, runs an inference on the engine, and notes in the registry how it ended. */
async function run(
  services: Services,
  model: ServedModel,
  query: Query,
  inference: Inference,
): Promise<Uint8Array> {
  const { engine, inferences, places } = services
  const { keySet, frame, keys, httpRequest } = query
  const { caller } = httpRequest
  // The circuit's file may be replaced while the inference waits for a place.
  const letGo = model.file?.hold()
  let giveBack = (): void => {}
  try {
    giveBack = takeImages(services, model, query)
    const stored = { name: nameOf(keySet), location: keys.location(keySet) }
    const { signal } = inference
    const onEnd = await places.take(caller.network, signal, caller.quota.inferences)
    const onProgress = (done: number, total: number): void => inference.progress(done, total)
    const { client } = inference.rounds
    const answer = await engine.infer({ model, keys: stored, frame, signal, onEnd, onProgress, client })
    inferences.end(inference, 'done')
    logEnd(query, inference, 'ok')
    return answer
  } catch (error) {
    if (isOwnFault(error)) giveBack()
    await discardDamaged(services.keys, keySet, error)
    const { code = 'INTERNAL' } = error as { code?: string }
    const cancelled = error instanceof InferenceCancelled
    inferences.end(inference, cancelled ? 'cancelled' : 'failed')
    logEnd(query, inference, cancelled ? 'cancelled' : code)
    if (cancelled) throw conflict('INFERENCE_UNKNOWN', 'The inference was cancelled', { id: inference.id })
    throw error
  } finally {
    letGo?.()
  }
}

/** Logs how an inference ended: `outcome` is ok, cancelled, or an error code. */
function logEnd({ keySet, httpRequest }: Query, inference: Inference, outcome: string): void {
  const { id, model, round, rounds, seconds } = inference.snapshot
  httpRequest.log.info(
    { inference: id, model, keySet: loggedName(nameOf(keySet)), outcome, round, rounds, seconds },
    'An inference ended',
  )
}

/** Deletes a key set that a worker found damaged, so that no later query meets it. */
async function discardDamaged(keys: KeyStore, keySet: string, error: unknown): Promise<void> {
  if (!(error instanceof PolyVeilError) || error.facts.isDamaged !== true) return
  await keys.discard(keySet)
}

/** Errors after which a client that did nothing wrong has no answer. */
const OWN_FAULTS: readonly string[] = ['TOO_BUSY', 'WORKER_LOST', 'INTERNAL']

function isOwnFault(error: unknown): boolean {
  if (error instanceof PolyVeilError) return OWN_FAULTS.includes(error.code)
  return !(error instanceof InferenceCancelled)
}

/**
 * Counts the images of a query against the budget of its tenant.
 *
 * @returns a function that takes them back
 * @throws FORBIDDEN when the tenant has too few left
 */
function takeImages(
  { budget, audit }: Services,
  { name: model, manifest: { batch } }: ServedModel,
  { keySet, httpRequest: request }: Query,
): () => void {
  const facts = { model, images: batch, keySet: loggedName(nameOf(keySet)) }
  try {
    const giveBack = budget.take(request.caller, batch)
    audit('query taken', request, facts)
    return giveBack
  } catch (error) {
    audit('query refused: budget spent', request, facts)
    throw error
  }
}

function encoded({ metrics }: Services, model: ServedModel, id: string, output: EngineOutput): SentAnswer {
  if (output.kind === 'refresh') metrics.refreshSent(model.name, output.frame.length)
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
