import { z } from 'zod'
import type { ModelCatalogue } from '../models/catalogue.ts'
import { responses } from '../openapi/response-schemas.ts'
import type { App } from '../services.ts'
import type { ManagementOptions } from './options.ts'

const modelsSchema = z
  .object({
    served: z.array(
      z.object({
        name: z.string(),
        version: z.int().positive(),
        digest: z.string().describe("SHA-256 of the circuit's file"),
        manifestDigest: z.string(),
        parametersDigest: z.string(),
        batch: z.int().positive(),
        rounds: z.int().nonnegative(),
        memoryBytes: z.number().describe("Engine memory for one client, by the compiler's estimate"),
      }),
    ),
    leftOut: z.array(
      z.object({
        file: z.string().describe('Path within the models directory'),
        name: z.string(),
        version: z.int().optional(),
        reason: z.string(),
        remedy: z.string(),
      }),
    ),
  })
  .meta({ id: 'Models' })

export type Models = z.infer<typeof modelsSchema>

/** Models with all their versions, and files that are left out. */
export function modelRoutes(
  app: App,
  { services: { models }, lookForModels }: Pick<ManagementOptions, 'services' | 'lookForModels'>,
): void {
  const schema = { tags: ['models'], response: responses({ 200: modelsSchema }) }
  app.get(
    '/models',
    { schema: { ...schema, operationId: 'models', summary: 'Versions of models, and files left out' } },
    () => modelsOf(models),
  )
  app.post(
    '/models/look',
    {
      schema: {
        ...schema,
        operationId: 'lookForModels',
        summary: 'Look for new, changed and removed circuits now; a file that changes may need a second look',
      },
    },
    async () => {
      await lookForModels()
      return modelsOf(models)
    },
  )
}

const modelsOf = ({ versions, leftOut }: ModelCatalogue): Models => ({
  served: versions.map(({ name, version, digest, memoryBytes, manifest }) => ({
    name,
    version,
    digest,
    manifestDigest: manifest.digest,
    parametersDigest: manifest.parametersDigest,
    batch: manifest.batch,
    rounds: manifest.rounds,
    memoryBytes,
  })),
  leftOut: leftOut.map(({ file, name, version, error }) => ({
    file,
    name,
    version,
    reason: error.message,
    remedy: error.remedy,
  })),
})
