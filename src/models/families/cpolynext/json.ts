import { z } from 'zod'
import { PolyVeilError } from '../../../errors/index.ts'
import { COMMON_JSON_FIELDS, sides, size } from '../../json-fields.ts'
import { invalidBySchema } from '../../known-keys.ts'
import { type CPolyNeXtConfig, downsizeType } from './config.ts'
import { invalidConfig } from './invalid-config.ts'
import type { CPolyNeXtLiteral } from './literal.ts'

const norm = z.string().optional()

/** The fields of the reference code's configs. */
const cellsSchema = z.strictObject({
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
  /** Whether PolyConv ends in a norm; the loader knows no networks without. */
  node_norm: z.literal('layernorm').optional(),
})

const jsonSchema = z.strictObject({
  network: z.enum(['NetworkPolyImageNet', 'NetworkPoly']),
  init_channels: z.number(),
  layers: z.number(),
  num_classes: z.number(),
  input_size: size,
  norm,
  config: cellsSchema,
  ...COMMON_JSON_FIELDS,
})

const KNOWN_KEYS = { '': Object.keys(jsonSchema.shape), config: Object.keys(cellsSchema.shape) }

type ConfigJson = z.infer<typeof jsonSchema>

/**
 * Reads the JSON form of a config, as it stands beside a checkpoint (docs/network-config.md).
 *
 * @throws CONFIG_INVALID naming the field that is missing, unknown, malformed or contradicts another
 * @throws NOT_POLYNOMIAL when `norm` names another normalisation than poly-BN
 */
export function parseCPolyNeXt(json: unknown): CPolyNeXtLiteral {
  const parsed = jsonSchema.safeParse(json)
  if (!parsed.success) throw invalidBySchema(parsed.error.issues, KNOWN_KEYS)
  const fields = parsed.data
  checkNorm(fields)
  checkCells(fields)
  const [height, width] = sides(fields.input_size)
  return {
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
  }
}

/**
 * The JSON form that `parseCPolyNeXt` reads. Initial Sigmoid-Scale values are not in configs; only their
 * number is.
 */
export function cpolynextJson(config: CPolyNeXtConfig): Readonly<Record<string, unknown>> {
  const { height, width } = config.inputSize
  return {
    network: config.stem === 'lowres' ? 'NetworkPoly' : 'NetworkPolyImageNet',
    init_channels: config.initChannels,
    layers: config.nodes.length,
    num_classes: config.classes,
    input_size: [height, width],
    norm: 'bn',
    config: {
      nodes: config.nodes,
      downsizes: config.downsizes,
      channels: Object.fromEntries(config.downsizes.map((cell, k) => [cell, config.channelMultipliers[k]])),
      expansion_conv: config.expansionConv,
      expansion_mlp: config.expansionMlp,
      sigmoid_scale: Array<number>(config.sigmoidScales).fill(0.5),
      paired_scale: config.pairedScale,
      downsize_type: config.downsizeTypes,
      attn: config.attention,
    },
  }
}

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
