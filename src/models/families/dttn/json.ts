import { z } from 'zod'
import { COMMON_JSON_FIELDS, sides, size } from '../../json-fields.ts'
import { invalidBySchema } from '../../known-keys.ts'
import { stemKernelSchema } from '../stages.ts'
import type { DttnConfig, DttnLiteral } from './config.ts'

const schema = z.strictObject({
  network: z.literal('DTTN'),
  layers: z.array(z.number()),
  dims: z.array(z.number()),
  scale: z.number(),
  transitions: z.array(z.boolean()),
  form: z.enum(['branches', 'product']).optional(),
  stem_kernel: stemKernelSchema.optional(),
  classes: z.number(),
  input: size,
  ...COMMON_JSON_FIELDS,
})

/**
 * Reads the JSON form of a config (docs/families.md).
 *
 * @throws CONFIG_INVALID naming the field that is missing, unknown or malformed
 */
export function parseDttn(json: unknown): DttnLiteral {
  const parsed = schema.safeParse(json)
  if (!parsed.success) throw invalidBySchema(parsed.error.issues, { '': Object.keys(schema.shape) })
  const { layers, dims, scale, transitions, form = null, classes, input, labels } = parsed.data
  const { stem_kernel: stemKernel } = parsed.data
  const [height, width] = sides(input)
  return { layers, dims, scale, transitions, stemKernel, form, classes, inputSize: { height, width }, labels }
}

export const dttnJson = (config: DttnConfig): Readonly<Record<string, unknown>> => ({
  network: 'DTTN',
  layers: config.layers,
  dims: config.dims,
  scale: config.scale,
  transitions: config.transitions,
  form: config.form ?? undefined,
  stem_kernel: config.stemKernel,
  classes: config.classes,
  input: [config.inputSize.height, config.inputSize.width],
})
