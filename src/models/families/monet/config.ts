import { z } from 'zod'
import {
  COMMON_FIELDS,
  type ConfigLiteral,
  checkedFields,
  completeConfig,
  count,
  type NetworkConfig,
} from '../../config.ts'
import { invalidConfig, type JsonNames } from '../../invalid-config.ts'
import { HALVING_3X3 } from '../../kernel.ts'
import { checkStages, type StageGeometry, type StemKernel, stagesOf, stemKernelSchema } from '../stages.ts'

/** The fields that a config states. */
export interface MonetLiteral extends ConfigLiteral {
  /** Blocks of each stage. */
  readonly layers: readonly number[]
  /** Width of each stage. */
  readonly dims: readonly number[]
  /** Width inside the second half of each block, in units of the stage's. */
  readonly expansion: number
  /** Kernel and stride of each of the two first convolutions; 2 by default, and 1 at low resolution. */
  readonly stemKernel?: StemKernel
  /** Whether norms have statistics of positions or of channels; null where the checkpoint shows it. */
  readonly norm: 'position' | 'channel' | null
  /** Whether norms of positions have betas; null where the checkpoint shows it. */
  readonly normBias: boolean | null
}

/** A checked, frozen configuration; only `monetConfig` makes one. */
export interface MonetConfig extends MonetLiteral, NetworkConfig {
  readonly family: 'monet'
  readonly preprocessing: NetworkConfig['preprocessing']
  readonly stemKernel: StemKernel
  /** Width and map size of every stage, derived from the rest. */
  readonly geometry: readonly StageGeometry[]
}

export const JSON_NAMES: JsonNames = { inputSize: 'input', stemKernel: 'stem_kernel', normBias: 'norm_bias' }

/** The low-rank branch has this part of the width inside a block. */
export const RANK_PART = 8
/** The shift moves quarters of the channels. */
const QUARTERS = 4

/** Stages are bounded far above the published networks'. */
const STAGES = 16

const literalSchema = z.object({
  layers: z.array(count(1024)).min(1).max(STAGES),
  dims: z.array(count(4096)).min(1).max(STAGES),
  expansion: count(16),
  norm: z.enum(['position', 'channel']).nullable(),
  normBias: z.boolean().nullable(),
  stemKernel: stemKernelSchema.default(2),
  ...COMMON_FIELDS,
})

/**
 * The one gate to a `MonetConfig`: checks a literal and derives the geometry.
 *
 * @returns deeply frozen; it shares no array with the literal
 * @throws CONFIG_INVALID naming the field that is malformed or contradicts another
 */
export function monetConfig(literal: MonetLiteral): MonetConfig {
  const fields = checkedFields(literalSchema, literal, JSON_NAMES)
  const { layers, dims, stemKernel, inputSize } = fields
  checkStages(layers.length, { dims })
  for (const [i, width] of dims.entries()) {
    if (width % QUARTERS !== 0) {
      throw invalidConfig(
        `dims.${i}`,
        `${width} channels do not divide by 4, and the shift moves quarters of them`,
      )
    }
    if (width % RANK_PART !== 0) {
      throw invalidConfig(
        `dims.${i}`,
        `${width} channels do not divide by 8, which the low-rank branch takes`,
      )
    }
  }
  const halves = dims.map((_, i) => i > 0)
  const geometry = stagesOf({ inputSize, dims, stemKernel, halves, kernel: HALVING_3X3 })
  return completeConfig('monet', { ...fields, geometry }, literal.preprocessing)
}
