import type { ConfigLiteral } from '../../config.ts'

/** Kind of a reduction: `sep` is depthwise then pointwise, `full` one dense convolution; stride 2. */
export type DownsizeType = 'sep3x3' | 'full3x3' | 'sep2x2' | 'full2x2'

/** The fields that a config states. `cpolynextConfig` checks them and derives the others. */
export interface CPolyNeXtLiteral extends ConfigLiteral {
  /** `imagenet`: 7x7 convolution, stride 4; `lowres`: 3x3, stride 1. */
  readonly stem: 'imagenet' | 'lowres'
  /** C, the width of the first stage. */
  readonly initChannels: number
  /** Nodes of each cell; two nodes are one stack of PolyConv and PolyMLP. */
  readonly nodes: readonly number[]
  /** Cells before which both inputs are halved, ascending; each begins a stage. */
  readonly downsizes: readonly number[]
  /** Width of the stage that each downsize begins, in units of C. */
  readonly channelMultipliers: readonly number[]
  /** Width of PolyConv relative to the cell's, for each stage; further entries are dropped. */
  readonly expansionConv: readonly number[]
  /**
   * Width of PolyMLP's first convolution relative to the cell's, for each stage; further entries are dropped.
   */
  readonly expansionMlp: readonly number[]
  /** Whether neighbouring branches share a Sigmoid-Scale value. */
  readonly pairedScale: boolean
  /** Sigmoid-Scale values of every cell. */
  readonly sigmoidScales: number
  /** Reductions of s0 and of s1. */
  readonly downsizeTypes: readonly [s0: DownsizeType, s1: DownsizeType]
  /** Whether PolyAttn takes PolyConv's place in stages 2 and 3. */
  readonly attention: boolean
}
