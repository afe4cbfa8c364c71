import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { checkGaloisElements, keySetBytes } from '../../wire/index.ts'
import {
  BYTES_MEDIA_TYPE,
  KEY_SET_HEADER,
  keySetAnnouncementSchema,
  keySetSchema,
  keyUploadProgressSchema,
  keyUploadSchema,
  MAX_PART_BYTES,
  pathOf,
  ROUTES,
  routeOf,
  UPLOAD_OFFSET_HEADER,
} from '../../wire/protocol/index.ts'
import { requireUsable } from '../models/engine-room.ts'
import type { App, Services } from '../services.ts'
import type { KeySetRecord } from '../stores/key-set-record.ts'
import { type NewKeySet, nameOf } from '../stores/key-store.ts'
import { loggedName } from '../stores/store-log.ts'
import type { VerifyKeySet } from '../stores/uploads.ts'
import { emptyResponse, keySetId, responses, wholeNumber } from './schemas.ts'

const id = keySetId.describe('The id that POST /v2/keys answered, which is a secret')

// Beyond any key set.
const MAX_OFFSET = 10 ** 12

const uploadHeaders = z.looseObject({
  [UPLOAD_OFFSET_HEADER]: wholeNumber(0, MAX_OFFSET).describe(
    'The offset in bytes at which the part begins in the key set',
  ),
})

/**
 * Where requests name their key set. The id is a secret and proxies log paths, so clients send it in a
 * header. PolyVeil 0.1 sent it in the path, which still works.
 */
const PLACES = [
  { url: routeOf(ROUTES.keys), params: z.object({}), headers: z.looseObject({ [KEY_SET_HEADER]: id }) },
  { url: routeOf(ROUTES.keySet), params: z.object({ id }), headers: z.looseObject({}) },
] as const

type Place = (typeof PLACES)[number]

/** The key set's id in a request that has passed the schemas of its place. */
const idIn = ({ params, headers }: FastifyRequest): string =>
  (params as { id?: string }).id ?? (headers[KEY_SET_HEADER] as string)

/** Routes to announce a key set, upload it in resumable parts, read its state and delete it. */
export async function keyRoutes(app: App, services: Services): Promise<void> {
  const { models, keys, engine, audit } = services
  // A part is streamed to the store and not buffered in memory.
  app.addContentTypeParser(BYTES_MEDIA_TYPE, (_request, payload, done) => done(null, payload))

  const verify: VerifyKeySet = async (record, stored) => {
    const checked = await engine.checkKeys(models.parametersOnce(record.parametersDigest), stored)
    requireSameElements(record.galoisElements, checked.galoisElements)
    return checked
  }

  app.post(
    routeOf(ROUTES.keys),
    {
      config: { answerHeaders: { 201: ['location'] } },
      schema: {
        tags: ['keys'],
        operationId: 'announceKeySet',
        summary: 'Announce a key set',
        body: keySetAnnouncementSchema,
        response: responses({ 201: keyUploadSchema }, 409, 422, 507),
      },
    },
    async (request, reply) => {
      services.intake.require()
      const { body, caller } = request
      requireFitting(models.parameters(body.parametersDigest), body)
      requireUsable(models.versions, body.parametersDigest, engine.engineBytes)
      const { id, record } = await keys.create(body, caller.owner, caller.network)
      try {
        audit('key set announced', request, { keySet: loggedName(nameOf(id)), bytes: body.bytes })
      } catch (error) {
        // The name is known only now. A set that cannot be recorded must not take a place.
        await keys.delete(id)
        throw error
      }
      return reply
        .code(201)
        .header('location', routeOf(pathOf(ROUTES.keySet, { id })))
        .send(uploadState(id, record))
    },
  )
  for (const place of PLACES) keySetRoutes(app, place, services, verify)
}

/** The routes of an announced key set, named in one of the places. */
function keySetRoutes(
  app: App,
  { url, params, headers }: Place,
  { keysOf, audit, metrics }: Services,
  verify: VerifyKeySet,
): void {
  const inPath = url !== routeOf(ROUTES.keys)
  const operation = (name: string): string => (inPath ? `${name}ByPath` : name)
  const summary = (text: string): string => (inPath ? `${text}; better with the id in a header` : text)
  app.put(
    url,
    {
      config: { binaryBody: `The next part of the key set, at most ${MAX_PART_BYTES} bytes` },
      schema: {
        tags: ['keys'],
        operationId: operation('uploadKeySetPart'),
        summary: summary('Upload the next part; the last one has the key set checked'),
        description: 'After a failure, go on at the `uploadOffset` that GET, or the 409, answers.',
        params,
        headers: headers.extend(uploadHeaders.shape),
        response: responses({ 200: keyUploadProgressSchema }, 404, 409, 410, 507),
      },
    },
    async (request) => {
      const id = idIn(request)
      const keys = keysOf(request)
      const offset = request.headers[UPLOAD_OFFSET_HEADER]
      const record = await keys.append(id, offset, uploadedPart(request.body))
      metrics.keysReceived(record.uploadOffset - offset)
      if (record.uploadOffset < record.bytes) return uploadState(id, record)
      const complete = await keys.complete(id, verify)
      audit('key set complete', request, { keySet: loggedName(nameOf(id)), bytes: record.bytes })
      return uploadState(id, complete)
    },
  )
  app.get(
    url,
    {
      schema: {
        tags: ['keys'],
        operationId: operation('readKeySet'),
        summary: summary('What is stored'),
        params,
        headers,
        response: responses({ 200: keySetSchema }, 404, 410),
      },
    },
    async (request) => {
      const id = idIn(request)
      const record = await keysOf(request).get(id)
      const { parametersDigest, galoisElements } = record
      return { ...uploadState(id, record), parametersDigest, galoisElements }
    },
  )
  app.delete(
    url,
    {
      schema: {
        tags: ['keys'],
        operationId: operation('deleteKeySet'),
        summary: summary('Delete a key set'),
        params,
        headers,
        response: responses({ 204: emptyResponse('Deleted') }, 404, 410, 507),
      },
    },
    async (request, reply) => {
      const id = idIn(request)
      const keys = keysOf(request)
      await keys.get(id)
      audit('key set deleted', request, { keySet: loggedName(nameOf(id)) })
      await keys.delete(id)
      return reply.code(204).send(null)
    },
  )
}

const uploadState = (id: string, record: KeySetRecord): z.infer<typeof keyUploadProgressSchema> => ({
  id,
  uploadOffset: record.uploadOffset,
  bytes: record.bytes,
  complete: record.digest !== undefined,
  expires: new Date(record.expires).toISOString(),
  digest: record.digest,
})

/** @throws CONFIG_INVALID, TENSOR_MALFORMED when a key set with these elements has another size */
function requireFitting(
  parameters: Parameters<typeof keySetBytes>[0],
  { bytes, galoisElements }: NewKeySet,
): void {
  checkGaloisElements(parameters.ring, galoisElements, 'CONFIG_INVALID')
  const expectedBytes = keySetBytes(parameters, galoisElements)
  if (bytes === expectedBytes) return
  throw new PolyVeilError(
    'TENSOR_MALFORMED',
    `A key set with ${galoisElements.length} Galois keys has ${expectedBytes} bytes, not ${bytes}`,
    { bytes, expectedBytes },
  )
}

function requireSameElements(announced: readonly number[], found: readonly number[]): void {
  if (announced.length === found.length && announced.every((element, index) => element === found[index]))
    return
  throw new PolyVeilError('TENSOR_MALFORMED', 'The key set has other Galois elements than were announced')
}

/** The body of a PUT. A connection that breaks off is an error of the client, not a fault of the server. */
async function* uploadedPart(body: unknown): AsyncGenerator<Uint8Array> {
  // A request without a content type has no parsed body: the part is empty.
  if (!(body instanceof Readable)) return
  try {
    yield* body
  } catch (cause) {
    throw new PolyVeilError('TENSOR_MALFORMED', 'The part broke off', {}, { cause })
  }
}
