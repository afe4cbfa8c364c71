import { z } from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import { isPublished } from './architectures.ts'
import { type NetworkConfig, networkConfig } from './config.ts'
import type { NetworkConfigLiteral } from './config-literal.ts'
import { invalidConfig } from './invalid-config.ts'
import { parseJsonText, refuseLargeJson } from './json-size.ts'
import { invalidBySchema } from './known-keys.ts'
import { defaultPreprocessing } from './preprocessing-defaults.ts'
import { parsePreprocessing, sides, size } from './preprocessing-json.ts'

const downsizeType = z.enum(['sep3x3', 'full3x3', 'sep2x2', 'full2x2'])
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
  labels: z.array(z.string()).optional(),
  preprocessing: z.unknown().optional(),
  /** Measurements of the network; ignored. */
  accuracy: z.unknown().optional(),
})

const KNOWN_KEYS = { '': Object.keys(jsonSchema.shape), config: Object.keys(cellsSchema.shape) }

type ConfigJson = z.infer<typeof jsonSchema>

/**
 * Reads the JSON form of a config, as it stands beside a checkpoint (docs/network-config.md).
 *
 * @param json the parsed JSON, or its text
 * @returns the network's preprocessing: the stated one, else that of the published network that it is, else
 *   null
 * @throws CONFIG_INVALID naming the field that is missing, unknown, malformed or contradicts another
 * @throws NOT_POLYNOMIAL when `norm` names another normalisation than poly-BN
 * @throws TOO_LARGE when it is larger than any config
 */
export function parseConfig(json: unknown): NetworkConfig {
  const content = typeof json === 'string' ? parseJsonText(json) : json
  refuseLargeJson(content)
  const parsed = jsonSchema.safeParse(content)
  if (!parsed.success) throw invalidBySchema(parsed.error.issues, KNOWN_KEYS)
  const fields = parsed.data
  checkNorm(fields)
  checkCells(fields)
  const [height, width] = sides(fields.input_size)
  const literal: NetworkConfigLiteral = {
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
  // Checked before the preprocessing is: that of published networks follows the input size.
  const config = networkConfig(literal)
  return networkConfig({ ...literal, preprocessing: preprocessingOf(fields.preprocessing, config) })
}

function preprocessingOf(json: unknown, config: NetworkConfig): Preprocessing | null {
  if (json !== undefined) return parsePreprocessing(json, config.inputSize)
  return isPublished(config) ? defaultPreprocessing(config.stem, config.inputSize) : null
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
