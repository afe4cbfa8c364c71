import * as z from 'zod'
import { BINARY_DATATYPE } from './inference.ts'
import { CKKS_EXTENSION } from './server.ts'

export const tensorSchema = z.object({
  name: z.string(),
  datatype: z.literal(BINARY_DATATYPE),
  shape: z.array(z.int()),
  parameters: z.object({ binary_data_size: z.int() }).describe('Exact size of the frame'),
})

/** Answer of `GET /v2/models/:model`. */
export const modelSchema = z
  .object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.literal(CKKS_EXTENSION),
    inputs: z.array(tensorSchema),
    outputs: z.array(tensorSchema),
    labels: z.array(z.string()),
    parameters: z.object({
      manifest_digest: z.string(),
      parameters_digest: z.string(),
      image_shape: z.array(z.int()).describe('[C, H, W] of the preprocessed image'),
      batch: z.int().describe('Images that one query can hold; how many it does hold is encrypted with them'),
      plan: z.boolean().describe('Whether there is a page about the plan of the model, at .../plan'),
    }),
  })
  .meta({ id: 'Model' })

/** Answer of `GET /v2/models`. */
export const modelListSchema = z.object({ models: z.array(modelSchema) })
