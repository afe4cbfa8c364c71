import { z } from 'zod'
import type { Manifest } from '../../circuit/manifest/manifest.ts'
import type { ServedModel } from '../catalogue.ts'
import type { App, Services } from '../services.ts'
import { modelParams, responses } from './schemas.ts'

const tensorSchema = z.object({
  name: z.string(),
  datatype: z.literal('BYTES'),
  shape: z.array(z.int()),
  parameters: z.object({ binary_data_size: z.int() }).describe('Exact size of the frame'),
})

const modelSchema = z
  .object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.literal('polyveil_ckks'),
    inputs: z.array(tensorSchema),
    outputs: z.array(tensorSchema),
    labels: z.array(z.string()),
    parameters: z.object({
      manifest_digest: z.string(),
      parameters_digest: z.string(),
      image_shape: z.array(z.int()).describe('[C, H, W] of the preprocessed image'),
      batch: z.int().describe('Images that one query can hold; how many it does hold is encrypted with them'),
    }),
  })
  .meta({ id: 'Model' })

const manifestSchema = z.looseObject({ format: z.string(), model: z.string(), digest: z.string() }).meta({
  id: 'Manifest',
  description: 'The public side of the circuit; docs/http-api.md describes its fields',
})

/** The served models and their public manifests. */
export function modelRoutes(app: App, { models, engine }: Services): void {
  app.get(
    '/v2/models',
    {
      schema: {
        tags: ['models'],
        summary: 'Served models',
        response: responses({ 200: z.object({ models: z.array(modelSchema) }) }),
      },
    },
    () => ({ models: models.all.map(metadata) }),
  )
  app.get(
    '/v2/models/:model',
    {
      schema: {
        tags: ['models'],
        summary: 'Model metadata',
        params: modelParams,
        response: responses({ 200: modelSchema }),
      },
    },
    ({ params }) => metadata(models.get(params.model)),
  )
  const readySchema = z.object({ name: z.string(), ready: z.boolean() })
  app.get(
    '/v2/models/:model/ready',
    {
      schema: {
        tags: ['models'],
        summary: 'Whether the model takes inferences',
        params: modelParams,
        response: responses({ 200: readySchema, 503: readySchema }),
      },
    },
    async ({ params }, reply) => {
      const { name } = models.get(params.model)
      return reply.code(engine.ready ? 200 : 503).send({ name, ready: engine.ready })
    },
  )
  app.get(
    '/v2/models/:model/manifest',
    {
      schema: {
        tags: ['models'],
        summary: 'All that a client needs to make keys, encrypt and decrypt',
        params: modelParams,
        response: responses({
          200: manifestSchema,
          304: z.null().describe('The manifest is the one you have'),
        }),
      },
    },
    async ({ params, headers }, reply) => {
      const { manifest } = models.get(params.model)
      const etag = `"${manifest.digest}"`
      reply.header('etag', etag).header('cache-control', 'no-cache')
      if (matches(headers['if-none-match'], etag)) return reply.code(304).send(null)
      return reply.send(manifest as Manifest & Record<string, unknown>)
    },
  )
}

function metadata({ name, manifest, queryBytes, responseBytes }: ServedModel): z.infer<typeof modelSchema> {
  const tensor = (tensorName: string, bytes: number): z.infer<typeof tensorSchema> => ({
    name: tensorName,
    datatype: 'BYTES',
    shape: [1],
    parameters: { binary_data_size: bytes },
  })
  return {
    name,
    versions: ['1'],
    platform: 'polyveil_ckks',
    inputs: [tensor('image', queryBytes)],
    outputs: [tensor('logits', responseBytes)],
    labels: manifest.labels,
    parameters: {
      manifest_digest: manifest.digest,
      parameters_digest: manifest.parametersDigest,
      image_shape: manifest.input.image,
      batch: manifest.batch,
    },
  }
}

/** Whether `If-None-Match` names the tag; weak tags count too (RFC 9110, 13.1.2). */
const matches = (header: string | undefined, etag: string): boolean | undefined =>
  header?.split(',').some((tag) => [etag, '*'].includes(tag.trim().replace(/^W\//, '')))
