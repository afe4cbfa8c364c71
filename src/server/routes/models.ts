import { z } from 'zod'
import type { Manifest } from '../../circuit/manifest/manifest.ts'
import {
  BINARY_DATATYPE,
  CKKS_EXTENSION,
  modelListSchema,
  modelSchema,
  ROUTES,
  routeOf,
  type tensorSchema,
} from '../../wire/protocol/index.ts'
import type { ModelCatalogue, ServedModel } from '../models/catalogue.ts'
import { hasPlanPage, planPageOf } from '../models/plan-page.ts'
import type { App, Services } from '../services.ts'
import { type ModelPath, modelAt } from './model-path.ts'
import { bytesResponse, emptyResponse, modelParams, responses } from './schemas.ts'

const manifestSchema = z.looseObject({ format: z.string(), model: z.string(), digest: z.string() }).meta({
  id: 'Manifest',
  description: 'The public side of the circuit; docs/http-api.md describes its fields',
})

/** The served models and their public manifests. */
export function modelRoutes(app: App, { models, engine, intake }: Services): void {
  app.get(
    routeOf(ROUTES.models),
    {
      schema: {
        tags: ['models'],
        operationId: 'listModels',
        summary: 'Served models',
        response: responses({ 200: modelListSchema }),
      },
    },
    async () => ({ models: await Promise.all(models.all.map((model) => metadata(model, models))) }),
  )
  app.get(
    routeOf(ROUTES.model),
    {
      schema: {
        tags: ['models'],
        operationId: 'modelMetadata',
        summary: 'Model metadata',
        params: modelParams,
        response: responses({ 200: modelSchema }, 404, 410),
      },
    },
    ({ params }) => metadata(modelAt(models, params), models),
  )
  const readySchema = z.object({
    name: z.string(),
    ready: z.boolean(),
    reasons: z.array(z.string()).optional().describe('What is wrong with circuit files of the model'),
  })
  app.get(
    routeOf(ROUTES.modelReady),
    {
      schema: {
        tags: ['models'],
        operationId: 'modelReady',
        summary: 'Whether the model takes inferences',
        params: modelParams,
        response: responses({ 200: readySchema, 503: readySchema }, 404),
      },
    },
    async ({ params }, reply) => {
      const { model, version }: ModelPath = params
      const { ready: isServed, reasons } = models.readiness(model, version)
      const ready = isServed && engine.ready && intake.isOpen
      const told = reasons.length > 0 ? { reasons: [...reasons] } : {}
      return reply.code(ready ? 200 : 503).send({ name: model, ready, ...told })
    },
  )
  app.get(
    routeOf(ROUTES.manifest),
    {
      config: { answerHeaders: { 200: ['etag'], 304: ['etag'] } },
      schema: {
        tags: ['models'],
        operationId: 'modelManifest',
        summary: 'All that a client needs to make keys, encrypt and decrypt',
        params: modelParams,
        headers: z.looseObject({
          'if-none-match': z.string().optional().describe('The ETag of the manifest that the client has'),
        }),
        response: responses(
          {
            200: manifestSchema,
            304: emptyResponse('The manifest is the one you have'),
          },
          404,
          410,
        ),
      },
    },
    async ({ params, headers }, reply) => {
      const { manifest } = modelAt(models, params)
      const etag = `"${manifest.digest}"`
      reply.header('etag', etag).header('cache-control', 'no-cache')
      if (matches(headers['if-none-match'], etag)) return reply.code(304).send(null)
      return reply.send(manifest as Manifest & Record<string, unknown>)
    },
  )
  app.get(
    routeOf(ROUTES.plan),
    {
      schema: {
        tags: ['models'],
        operationId: 'modelPlan',
        summary: 'How the model is computed, where its operator has published that',
        params: modelParams,
        response: responses(
          { 200: bytesResponse(PAGE_MEDIA_TYPE, 'A page with charts and tables') },
          404,
          410,
        ),
      },
    },
    async ({ params }, reply) =>
      reply
        .type(PAGE_MEDIA_TYPE)
        .header('content-security-policy', PLAN_POLICY)
        .header('cache-control', 'no-cache')
        .send(await planPageOf(modelAt(models, params))),
  )
}

const PAGE_MEDIA_TYPE = 'text/html; charset=utf-8'
/** A plan's page has styles, and nothing that could run. */
const PLAN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

async function metadata(model: ServedModel, models: ModelCatalogue): Promise<z.infer<typeof modelSchema>> {
  const { name, manifest, queryBytes, responseBytes } = model
  const tensor = (tensorName: string, bytes: number): z.infer<typeof tensorSchema> => ({
    name: tensorName,
    datatype: BINARY_DATATYPE,
    shape: [1],
    parameters: { binary_data_size: bytes },
  })
  return {
    name,
    versions: models.versionsOf(name).map(String),
    platform: CKKS_EXTENSION,
    inputs: [tensor('image', queryBytes)],
    outputs: [tensor('logits', responseBytes)],
    labels: manifest.labels,
    parameters: {
      manifest_digest: manifest.digest,
      parameters_digest: manifest.parametersDigest,
      image_shape: manifest.input.image,
      batch: manifest.batch,
      plan: await hasPlanPage(model),
    },
  }
}

/** Whether `If-None-Match` names the tag; weak tags count too (RFC 9110, 13.1.2). */
const matches = (header: string | undefined, etag: string): boolean | undefined =>
  header?.split(',').some((tag) => [etag, '*'].includes(tag.trim().replace(/^W\//, '')))
