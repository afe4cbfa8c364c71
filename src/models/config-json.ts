import { z } from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import { type NetworkConfig, networkConfig } from './config.ts'
import { invalidConfig } from './invalid-config.ts'

const side = z.number().int().positive()
const size = z.union([side, z.tuple([side, side])])
const downsizeType = z.enum(['sep3x3', 'full3x3', 'sep2x2', 'full2x2'])
const norm = z.string().optional()

const preprocessingSchema = z.object({
  resize: size,
  /** Absent: the image is squashed to `resize`. */
  crop: size.optional(),
  interpolation: z.string().regex(/^(bilinear|bicubic)\b/, 'it must begin with "bilinear" or "bicubic"'),
  channels: z.string().regex(/^(grey|rgb)\b/, 'it must begin with "grey" or "rgb"'),
  mean: z.array(z.number()).min(1).max(3),
  std: z.array(z.number()).min(1).max(3),
})

/** The reference code's own fields; what only concerns training is ignored. */
const jsonSchema = z.object({
  network: z.enum(['NetworkPolyImageNet', 'NetworkPoly']),
  init_channels: z.number(),
  layers: z.number(),
  num_classes: z.number(),
  input_size: size,
  norm,
  config: z.object({
    nodes: z.array(z.number()),
    downsizes: z.array(z.number()),
    channels: z.record(z.string(), z.number()),
    expansion_conv: z.array(z.number()),
    expansion_mlp: z.array(z.number()),
    sigmoid_scale: z.array(z.number()),
    paired_scale: z.boolean().default(false),
    downsize_type: z.tuple([downsizeType, downsizeType]),
    attn: z.boolean().default(false),
    norm,
  }),
  labels: z.array(z.string()).optional(),
  preprocessing: preprocessingSchema.optional(),
})

type ConfigJson = z.infer<typeof jsonSchema>

/**
 * Reads the JSON form of a config, as it stands beside a checkpoint.
 *
 * @param json the parsed JSON, or its text
 * @throws CONFIG_INVALID naming the field that is missing, malformed or contradicts another
 * @throws NOT_POLYNOMIAL when `norm` names another normalisation than poly-BN
 */
export function parseConfig(json: unknown): NetworkConfig {
  const parsed = jsonSchema.safeParse(typeof json === 'string' ? parseJson(json) : json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw invalidConfig(issue.path.join('.'), issue.message)
  }
  const fields = parsed.data
  checkNorm(fields)
  checkCells(fields)
  const [height, width] = sides(fields.input_size)
  return networkConfig({
    stem: fields.network === 'NetworkPoly' ? 'lowres' : 'imagenet',
    initChannels: fields.init_channels,
    nodes: fields.config.nodes,
    downsizes: fields.config.downsizes,
    channelMultipliers: fields.config.downsizes.map((cell) => fields.config.channels[cell]),
    expansionConv: fields.config.expansion_conv,
    expansionMlp: fields.config.expansion_mlp,
    pairedScale: fields.config.paired_scale,
    sigmoidScales: fields.config.sigmoid_scale.length,
    downsizeTypes: fields.config.downsize_type,
    attention: fields.config.attn,
    classes: fields.num_classes,
    inputSize: { height, width },
    labels: fields.labels,
    preprocessing: fields.preprocessing && parsePreprocessing(fields.preprocessing),
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PolyVeilError('CONFIG_INVALID', 'The config is no JSON', {}, { cause })
  }
}

const sides = (size: number | [number, number]): [height: number, width: number] =>
  typeof size === 'number' ? [size, size] : size

function checkNorm({ norm, config }: ConfigJson): void {
  for (const name of [norm, config.norm]) {
    if (name !== undefined && name !== 'bn') {
      throw new PolyVeilError('NOT_POLYNOMIAL', `The config's norm is "${name}"; only "bn" is polynomial`, {
        norm: name,
      })
    }
  }
}

function checkCells({ layers, config }: ConfigJson): void {
  if (config.nodes.length !== layers) {
    throw invalidConfig('config.nodes', `${config.nodes.length} cells, but layers is ${layers}`)
  }
  const widths = Object.keys(config.channels).sort()
  const stages = config.downsizes.map(String).sort()
  if (widths.join() !== stages.join()) {
    throw invalidConfig('config.channels', `widths for cells [${widths}], but downsizes are [${stages}]`)
  }
}

function parsePreprocessing(fields: z.infer<typeof preprocessingSchema>): Preprocessing {
  const channels = fields.channels.startsWith('grey') ? 'grey' : 'rgb'
  return {
    channels,
    resize: parseResize(fields.resize, fields.crop),
    interpolation: fields.interpolation.startsWith('bicubic') ? 'bicubic' : 'bilinear',
    mean: channels === 'grey' ? oneValue('mean', fields.mean) : fields.mean,
    std: channels === 'grey' ? oneValue('std', fields.std) : fields.std,
  }
}

function parseResize(
  resize: number | [number, number],
  crop: number | [number, number] | undefined,
): Preprocessing['resize'] {
  if (crop === undefined) {
    const [height, width] = sides(resize)
    return { mode: 'squash', height, width }
  }
  if (typeof resize !== 'number') {
    throw invalidConfig('preprocessing.resize', 'beside a crop it must be the length of the short side')
  }
  const [height, width] = sides(crop)
  return { mode: 'shortSide', size: resize, height, width }
}

/** A grey image is sent as one channel, which stands for three only if all three are normalised alike. */
function oneValue(field: 'mean' | 'std', values: readonly number[]): number[] {
  if (values.some((value) => value !== values[0])) {
    throw invalidConfig(`preprocessing.${field}`, 'the channels of a grey image must have one value')
  }
  return [values[0]]
}
