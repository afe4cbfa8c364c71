import { z } from 'zod'
import type { Preprocessing } from '../preprocessing/types.ts'
import type { NetworkConfigLiteral } from './config-literal.ts'
import { type CellGeometry, geometry } from './geometry.ts'
import { invalidConfig } from './invalid-config.ts'
import { checkPreprocessing } from './preprocessing-defaults.ts'

/** A checked, frozen configuration; only `networkConfig` makes one. */
export interface NetworkConfig extends NetworkConfigLiteral {
  /** Null where it is not known: the network takes tensors, and no pictures. */
  readonly preprocessing: Preprocessing | null
  /** Widths and map sizes of every cell, derived from the rest. */
  readonly geometry: readonly CellGeometry[]
}

/** The config of a network that takes pictures. */
export type PictureConfig = NetworkConfig & { readonly preprocessing: Preprocessing }

const count = (max: number) => z.number().int().positive().max(max)
const factor = z.number().positive().max(64)
const downsizeType = z.enum(['sep3x3', 'full3x3', 'sep2x2', 'full2x2'])

/** Bounds far above every published network, so that no config can ask for absurd work. */
const literalSchema = z.object({
  stem: z.enum(['imagenet', 'lowres']),
  initChannels: count(4096),
  nodes: z.array(count(256).multipleOf(2)).min(1).max(1024),
  downsizes: z.array(z.number().int().nonnegative()).max(16),
  channelMultipliers: z.array(factor).max(16),
  expansionConv: z.array(factor).min(1).max(64),
  expansionMlp: z.array(factor).min(1).max(64),
  pairedScale: z.boolean(),
  sigmoidScales: count(512),
  downsizeTypes: z.tuple([downsizeType, downsizeType]),
  attention: z.boolean(),
  classes: count(100_000),
  inputSize: z.object({ height: count(8192), width: count(8192) }),
  labels: z.array(z.string().min(1).max(256)).optional(),
})

/**
 * The one gate to a `NetworkConfig`: checks a literal and derives the geometry.
 *
 * @returns deeply frozen; it shares no array with the literal
 * @throws CONFIG_INVALID naming the field that is malformed or contradicts another
 */
export function networkConfig(literal: NetworkConfigLiteral): NetworkConfig {
  const parsed = literalSchema.safeParse(literal)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]
    throw invalidConfig(path.join('.'), message)
  }
  const fields = { ...parsed.data, ...stageFactors(parsed.data) }
  checkDownsizes(fields)
  checkSigmoidScales(fields)
  if (fields.labels && fields.labels.length !== fields.classes) {
    throw invalidConfig('labels', `${fields.labels.length} labels for ${fields.classes} classes`)
  }
  const preprocessing = structuredClone(literal.preprocessing) ?? null
  if (preprocessing !== null) checkPreprocessing(preprocessing, fields.inputSize)
  return deepFreeze({ ...fields, preprocessing, geometry: geometry(fields) })
}

type Fields = Omit<NetworkConfigLiteral, 'preprocessing'>

/**
 * Published configs list factors for four stages whatever the network has; only those of its stages count.
 */
function stageFactors(fields: Fields): Pick<Fields, 'expansionConv' | 'expansionMlp'> {
  const stages = fields.downsizes.length + 1
  for (const field of ['expansionConv', 'expansionMlp'] as const) {
    if (fields[field].length < stages) {
      throw invalidConfig(field, `${fields[field].length} factors for ${stages} stages`)
    }
  }
  return {
    expansionConv: fields.expansionConv.slice(0, stages),
    expansionMlp: fields.expansionMlp.slice(0, stages),
  }
}

function checkDownsizes({ downsizes, channelMultipliers, nodes }: Fields): void {
  for (const [k, cell] of downsizes.entries()) {
    if (cell >= nodes.length) {
      throw invalidConfig('downsizes', `cell ${cell} is none of the ${nodes.length} cells`)
    }
    if (k > 0 && cell <= downsizes[k - 1]) throw invalidConfig('downsizes', 'cells must ascend')
  }
  if (channelMultipliers.length !== downsizes.length) {
    throw invalidConfig('channels', `${channelMultipliers.length} widths for ${downsizes.length} downsizes`)
  }
}

function checkSigmoidScales({ nodes, pairedScale, sigmoidScales }: Fields): void {
  const stacks = Math.max(...nodes) / 2
  const needed = pairedScale ? stacks + 1 : 2 * stacks
  if (sigmoidScales < needed) {
    throw invalidConfig('sigmoid_scale', `${sigmoidScales} values, but ${stacks} stacks need ${needed}`)
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
