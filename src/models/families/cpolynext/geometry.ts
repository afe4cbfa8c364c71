import { HALVING_2X2, HALVING_3X3, type KernelShape, outputSize, SAME_3X3 } from '../../kernel.ts'
import { invalidConfig } from './invalid-config.ts'
import type { CPolyNeXtLiteral, DownsizeType } from './literal.ts'

/** The first stage in which PolyAttn takes PolyConv's place. */
const FIRST_ATTENTION_STAGE = 2
/** Channels of a head of PolyAttn. */
export const HEAD_CHANNELS = 32
/** Channels of a cell for each head. */
const CHANNELS_PER_HEAD = 64
/** Most positions that attend to each other: the scores of a head are their square. */
const MOST_POSITIONS = 4096

/** Widths and map size of one cell. */
export interface CellGeometry {
  readonly stage: number
  /** Whether s0 and s1 are reduced before this cell. */
  readonly downsizes: boolean
  /** Width of s0 and s1 before their reduction, if any. */
  readonly inChannels: number
  readonly channels: number
  /** Heads of PolyAttn; 0 where the cell has PolyConv. */
  readonly heads: number
  /** Width inside PolyConv. */
  readonly convChannels: number
  /** Width of PolyMLP's first convolution; even, its halves are multiplied. */
  readonly mlpChannels: number
  readonly height: number
  readonly width: number
}

export const STEM_KERNEL: Readonly<Record<CPolyNeXtLiteral['stem'], KernelShape>> = {
  imagenet: { kernel: 7, stride: 4, padding: 3, dilation: 1 },
  lowres: SAME_3X3,
}

/** PolyConv's coarse depthwise kernel: it widens after stage 0. */
export const coarseKernel = (stage: number): KernelShape =>
  stage === 0
    ? { kernel: 3, stride: 1, padding: 2, dilation: 2 }
    : { kernel: 5, stride: 1, padding: 4, dilation: 2 }

/** Kernel of a reduction, on the map; whether it is `sep` or `full` does not matter here. */
export const reductionKernel = (type: DownsizeType): KernelShape =>
  type.endsWith('3x3') ? HALVING_3X3 : HALVING_2X2

/**
 * Widths and map sizes of all cells.
 *
 * @throws CONFIG_INVALID when a map shrinks to nothing, the two reductions disagree in size, or a width is 0
 *   or odd, or when a map with attention is too large
 */
export function geometry(config: Omit<CPolyNeXtLiteral, 'preprocessing'>): CellGeometry[] {
  const stem = STEM_KERNEL[config.stem]
  let height = outputSize(config.inputSize.height, stem)
  let width = outputSize(config.inputSize.width, stem)
  let channels = config.initChannels
  let stage = 0
  return config.nodes.map((_, cell) => {
    const inChannels = channels
    const downsizes = config.downsizes.includes(cell)
    if (downsizes) {
      channels = Math.trunc(config.channelMultipliers[stage] * config.initChannels)
      stage++
      height = reducedSize(height, config)
      width = reducedSize(width, config)
    }
    const convChannels = Math.trunc(channels * config.expansionConv[stage])
    const mlpChannels = Math.trunc(channels * config.expansionMlp[stage])
    checkWidths(channels, convChannels, mlpChannels, stage)
    const hasAttention = config.attention && stage >= FIRST_ATTENTION_STAGE
    const heads = hasAttention ? Math.ceil(channels / CHANNELS_PER_HEAD) : 0
    if (hasAttention) checkPositions(height, width)
    return { stage, downsizes, inChannels, channels, heads, convChannels, mlpChannels, height, width }
  })
}

function reducedSize(size: number, { downsizeTypes }: Pick<CPolyNeXtLiteral, 'downsizeTypes'>): number {
  const [s0, s1] = downsizeTypes.map((type) => outputSize(size, reductionKernel(type)))
  if (s0 !== s1) {
    throw invalidConfig('downsize_type', `${downsizeTypes.join(' and ')} make ${s0} and ${s1} of ${size}`)
  }
  if (s0 < 1) throw invalidConfig('input_size', 'the map shrinks to nothing')
  return s0
}

function checkPositions(height: number, width: number): void {
  if (height * width <= MOST_POSITIONS) return
  throw invalidConfig(
    'input_size',
    `${height} x ${width} positions would attend to each other; at most ${MOST_POSITIONS} can`,
  )
}

function checkWidths(channels: number, convChannels: number, mlpChannels: number, stage: number): void {
  if (channels < 1) throw invalidConfig('channels', `stage ${stage} has no channels`)
  if (convChannels < 1) throw invalidConfig('expansion_conv', `PolyConv has no channels in stage ${stage}`)
  if (mlpChannels < 2 || mlpChannels % 2 !== 0) {
    throw invalidConfig('expansion_mlp', `${mlpChannels} channels in stage ${stage} do not split into halves`)
  }
}
