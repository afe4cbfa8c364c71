import { z } from 'zod'
import {
  COMMON_FIELDS,
  type ConfigLiteral,
  checkedFields,
  completeConfig,
  count,
  type NetworkConfig,
} from '../../config.ts'
import type { JsonNames } from '../../invalid-config.ts'
import { HALVING_2X2 } from '../../kernel.ts'
import { checkStages, type StageGeometry, type StemKernel, stagesOf, stemKernelSchema } from '../stages.ts'

/** The fields that a config states. */
export interface DttnLiteral extends ConfigLiteral {
  /** Blocks of each stage. */
  readonly layers: readonly number[]
  /** Width of each stage. */
  readonly dims: readonly number[]
  /** Width inside every second block, in units of the stage's. */
  readonly scale: number
  /** Kernel and stride of each of the two first convolutions; 2 by default, and 1 at low resolution. */
  readonly stemKernel?: StemKernel
  /** Whether each stage begins with a convolution that halves the map. */
  readonly transitions: readonly boolean[]
  /**
   * `branches`: the branches are normalised before their product; `product`: the product is normalised. Null
   * where the checkpoint shows it.
   */
  readonly form: 'branches' | 'product' | null
}

/** A checked, frozen configuration; only `dttnConfig` makes one. */
export interface DttnConfig extends DttnLiteral, NetworkConfig {
  readonly family: 'dttn'
  readonly preprocessing: NetworkConfig['preprocessing']
  readonly stemKernel: StemKernel
  /** Width and map size of every stage, derived from the rest. */
  readonly geometry: readonly StageGeometry[]
}

export const JSON_NAMES: JsonNames = { inputSize: 'input', stemKernel: 'stem_kernel' }

/** Stages and blocks are bounded far above the published networks'. */
const STAGES = 16
const MOST_SCALE = 16

const literalSchema = z.object({
  layers: z.array(count(1024)).min(1).max(STAGES),
  dims: z.array(count(4096)).min(1).max(STAGES),
  scale: count(MOST_SCALE),
  transitions: z.array(z.boolean()).min(1).max(STAGES),
  form: z.enum(['branches', 'product']).nullable(),
  stemKernel: stemKernelSchema.default(2),
  ...COMMON_FIELDS,
})

/**
 * The one gate to a `DttnConfig`: checks a literal and derives the geometry.
 *
 * @returns deeply frozen; it shares no array with the literal
 * @throws CONFIG_INVALID naming the field that is malformed or contradicts another
 */
export function dttnConfig(literal: DttnLiteral): DttnConfig {
  const fields = checkedFields(literalSchema, literal, JSON_NAMES)
  const { layers, dims, transitions, stemKernel, inputSize } = fields
  checkStages(layers.length, { dims, transitions })
  const geometry = stagesOf({ inputSize, dims, stemKernel, halves: transitions, kernel: HALVING_2X2 })
  return completeConfig('dttn', { ...fields, geometry }, literal.preprocessing)
}
