import { z } from 'zod'
import { COMMON_FIELDS, checkedFields, completeConfig, count, type NetworkConfig } from '../../config.ts'
import { type CellGeometry, geometry } from './geometry.ts'
import { invalidConfig, JSON_NAMES } from './invalid-config.ts'
import type { CPolyNeXtLiteral } from './literal.ts'

/** A checked, frozen configuration; only `cpolynextConfig` makes one. */
export interface CPolyNeXtConfig extends CPolyNeXtLiteral, NetworkConfig {
  readonly family: 'cpolynext'
  readonly preprocessing: NetworkConfig['preprocessing']
  /** Widths and map sizes of every cell, derived from the rest. */
  readonly geometry: readonly CellGeometry[]
}

const factor = z.number().positive().max(64)
export const downsizeType = z.enum(['sep3x3', 'full3x3', 'sep2x2', 'full2x2'])

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
  ...COMMON_FIELDS,
})

/**
 * The one gate to a `CPolyNeXtConfig`: checks a literal and derives the geometry.
 *
 * @returns deeply frozen; it shares no array with the literal
 * @throws CONFIG_INVALID naming the field that is malformed or contradicts another
 */
export function cpolynextConfig(literal: CPolyNeXtLiteral): CPolyNeXtConfig {
  const parsed = checkedFields(literalSchema, literal, JSON_NAMES)
  const fields = { ...parsed, ...stageFactors(parsed) }
  checkDownsizes(fields)
  checkSigmoidScales(fields)
  checkAttention(fields)
  return completeConfig('cpolynext', { ...fields, geometry: geometry(fields) }, literal.preprocessing)
}

type Fields = Omit<CPolyNeXtLiteral, 'preprocessing'>

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

/** PolyAttn is in the third stage and later ones. */
function checkAttention({ attention, downsizes }: Fields): void {
  if (attention && downsizes.length < 2) {
    throw invalidConfig('attention', 'PolyAttn begins with the third stage, and the network has fewer stages')
  }
}

function checkSigmoidScales({ nodes, pairedScale, sigmoidScales }: Fields): void {
  const stacks = Math.max(...nodes) / 2
  const needed = pairedScale ? stacks + 1 : 2 * stacks
  if (sigmoidScales < needed) {
    throw invalidConfig('sigmoid_scale', `${sigmoidScales} values, but ${stacks} stacks need ${needed}`)
  }
}
