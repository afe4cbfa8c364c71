import { z } from 'zod'
import { PolyVeilError } from '../../../errors/index.ts'
import { COMMON_JSON_FIELDS, sides, size } from '../../json-fields.ts'
import { invalidBySchema } from '../../known-keys.ts'
import { stemKernelSchema } from '../stages.ts'
import type { MonetConfig, MonetLiteral } from './config.ts'

const schema = z.strictObject({
  network: z.literal('MONet'),
  layers: z.array(z.number()),
  dims: z.array(z.number()),
  expansion: z.number(),
  norm: z.string().optional(),
  norm_bias: z.boolean().optional(),
  stem_kernel: stemKernelSchema.optional(),
  classes: z.number(),
  input: size,
  ...COMMON_JSON_FIELDS,
})

/**
 * Reads the JSON form of a config (docs/families.md).
 *
 * @throws CONFIG_INVALID naming the field that is missing, unknown or malformed
 * @throws NOT_POLYNOMIAL when `norm` names another normalisation
 */
export function parseMonet(json: unknown): MonetLiteral {
  const parsed = schema.safeParse(json)
  if (!parsed.success) throw invalidBySchema(parsed.error.issues, { '': Object.keys(schema.shape) })
  const { layers, dims, expansion, norm, norm_bias: normBias = null, classes, input, labels } = parsed.data
  const { stem_kernel: stemKernel } = parsed.data
  const [height, width] = sides(input)
  return {
    layers,
    dims,
    expansion,
    norm: polynomial(norm),
    normBias,
    stemKernel,
    classes,
    inputSize: { height, width },
    labels,
  }
}

function polynomial(norm: string | undefined): MonetLiteral['norm'] {
  if (norm === undefined) return null
  if (norm === 'position' || norm === 'channel') return norm
  throw new PolyVeilError(
    'NOT_POLYNOMIAL',
    `The config's norm is "${norm}"; only "position" and "channel" are polynomial`,
    { norm },
  )
}

export const monetJson = (config: MonetConfig): Readonly<Record<string, unknown>> => ({
  network: 'MONet',
  layers: config.layers,
  dims: config.dims,
  expansion: config.expansion,
  norm: config.norm ?? undefined,
  norm_bias: config.normBias ?? undefined,
  stem_kernel: config.stemKernel,
  classes: config.classes,
  input: [config.inputSize.height, config.inputSize.width],
})
