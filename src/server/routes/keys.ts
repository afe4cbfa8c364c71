import { Readable } from 'node:stream'
import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { checkGaloisElements, keySetBytes } from '../../wire/index.ts'
import type { App, Services } from '../app.ts'
import type { KeySetRecord } from '../stores/key-set-record.ts'
import type { NewKeySet, VerifyKeySet } from '../stores/key-store.ts'
import { PART_BYTES } from '../stores/key-store.ts'
import { emptyResponse, responses } from './schemas.ts'

// As many elements as there can be keys in the largest set that the limits allow; the store's own limit is on bytes.
const MAX_GALOIS_ELEMENTS = 4096

const params = z.object({
  id: z.string().max(128).describe('The id that POST /v2/keys answered; keep it secret'),
})

const announcement = z.strictObject({
  parametersDigest: z.string().max(64),
  bytes: z.int().positive().describe('Exact size of the key set'),
  galoisElements: z.array(z.int()).max(MAX_GALOIS_ELEMENTS).describe('Ascending'),
})

const createdSchema = z
  .object({ id: z.string(), uploadOffset: z.int(), bytes: z.int(), expires: z.iso.datetime() })
  .meta({ id: 'KeyUpload' })

const uploadedSchema = createdSchema
  .extend({ complete: z.boolean(), digest: z.string().optional() })
  .meta({ id: 'KeyUploadProgress' })

const keySetSchema = uploadedSchema
  .extend({ parametersDigest: z.string(), galoisElements: z.array(z.int()) })
  .meta({ id: 'KeySet' })

const uploadHeaders = z.looseObject({
  'upload-offset': z
    .string()
    .regex(/^(0|[1-9][0-9]{0,12})$/, 'must be the number of bytes that the server has')
    .transform(Number)
    .describe('Where the part begins in the key set'),
})

/** Public and evaluation keys: announced, uploaded in resumable parts, checked, kept until they expire. */
export async function keyRoutes(app: App, { models, keys, engine }: Services): Promise<void> {
  // A part is streamed to the store; nothing of it is held in memory.
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload))

  const verify: VerifyKeySet = async (record, location) => {
    const checked = await engine.checkKeys(models.parameters(record.parametersDigest), location)
    requireSameElements(record.galoisElements, checked.galoisElements)
    return checked
  }

  app.post(
    '/v2/keys',
    {
      schema: {
        tags: ['keys'],
        summary: 'Announce a key set',
        body: announcement,
        response: responses({ 201: createdSchema }),
      },
    },
    async ({ body }, reply) => {
      requireFitting(models.parameters(body.parametersDigest), body)
      const { id, record } = await keys.create(body)
      return reply.code(201).header('location', `/v2/keys/${id}`).send(uploadState(id, record))
    },
  )
  app.put(
    '/v2/keys/:id',
    {
      config: { binaryBody: `The next part of the key set, at most ${PART_BYTES} bytes` },
      schema: {
        tags: ['keys'],
        summary: 'Upload the next part; the last one has the key set checked',
        description: 'After a failure, go on at the `uploadOffset` that GET, or the 409, answers.',
        params,
        headers: uploadHeaders,
        response: responses({ 200: uploadedSchema }),
      },
    },
    async ({ params: { id }, headers, body }) => {
      const record = await keys.append(id, headers['upload-offset'], uploadedPart(body))
      const received = record.uploadOffset === record.bytes
      return uploadState(id, received ? await keys.complete(id, verify) : record)
    },
  )
  app.get(
    '/v2/keys/:id',
    {
      schema: {
        tags: ['keys'],
        summary: 'What is stored',
        params,
        response: responses({ 200: keySetSchema }),
      },
    },
    ({ params: { id } }) => {
      const record = keys.get(id)
      const { parametersDigest, galoisElements } = record
      return { ...uploadState(id, record), parametersDigest, galoisElements }
    },
  )
  app.delete(
    '/v2/keys/:id',
    {
      schema: {
        tags: ['keys'],
        summary: 'Delete a key set',
        params,
        response: responses({ 204: emptyResponse('Deleted') }),
      },
    },
    async ({ params: { id } }, reply) => {
      await keys.delete(id)
      return reply.code(204).send(null)
    },
  )
}

const uploadState = (id: string, record: KeySetRecord): z.infer<typeof uploadedSchema> => ({
  id,
  uploadOffset: record.uploadOffset,
  bytes: record.bytes,
  complete: record.digest !== undefined,
  expires: new Date(record.expires).toISOString(),
  digest: record.digest,
})

/** @throws CONFIG_INVALID, TENSOR_MALFORMED when no key set with these elements can be of that size */
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

/** The body of a PUT. A connection that breaks off is the client's trouble, not a fault of the server. */
async function* uploadedPart(body: unknown): AsyncGenerator<Uint8Array> {
  // Without a content type there is no parser and no body: an empty part.
  if (!(body instanceof Readable)) return
  try {
    yield* body
  } catch (cause) {
    throw new PolyVeilError('TENSOR_MALFORMED', 'The part broke off', {}, { cause })
  }
}
