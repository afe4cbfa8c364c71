import type { KernelShape } from './kernel.ts'
import type { ChannelNorm, Convolution, PolyAttention, PositionNorm } from './layers.ts'
import type { TensorSource } from './tensor-reader.ts'

// Reads the layers that families share, by the names that PyTorch gives their tensors. All functions throw
// what `TensorSource.take` throws.

/** The parts of a convolution that differ between layers of one kernel. */
interface ConvolutionOptions {
  readonly groups?: number
  /** Whether there is a tensor `NAME.bias`; by default there is none. */
  readonly bias?: boolean
}

/** Reads `NAME.weight`, and `NAME.bias` where it is asked for. */
export function readConvolution(
  tensors: TensorSource,
  name: string,
  inChannels: number,
  outChannels: number,
  kernel: KernelShape,
  { groups = 1, bias = false }: ConvolutionOptions = {},
): Convolution {
  const weightName = `${name}.weight`
  const shape = [outChannels, inChannels / groups, kernel.kernel, kernel.kernel]
  const weight = tensors.take(weightName, shape)
  const layer = { name: weightName, weight, inChannels, outChannels, groups, ...kernel }
  return bias ? { ...layer, bias: tensors.take(`${name}.bias`, [outChannels]) } : layer
}

/** Reads a convolution with one filter for each channel. */
export const readDepthwise = (
  tensors: TensorSource,
  name: string,
  channels: number,
  kernel: KernelShape,
  options: Pick<ConvolutionOptions, 'bias'> = {},
): Convolution => readConvolution(tensors, name, channels, channels, kernel, { ...options, groups: channels })

/** Reads the weight [out, in] and the bias of a linear layer. */
export const readLinear = (
  tensors: TensorSource,
  name: string,
  inputs: number,
  outputs: number,
): { readonly weight: Float32Array; readonly bias: Float32Array } => ({
  weight: tensors.take(`${name}.weight`, [outputs, inputs]),
  bias: tensors.take(`${name}.bias`, [outputs]),
})

/** A linear layer on the channels of each position: a convolution of kernel 1. */
export const readPointwiseLinear = (
  tensors: TensorSource,
  name: string,
  inChannels: number,
  outChannels: number,
): Convolution => ({
  name: `${name}.weight`,
  ...readLinear(tensors, name, inChannels, outChannels),
  inChannels,
  outChannels,
  groups: 1,
  kernel: 1,
  stride: 1,
  padding: 0,
  dilation: 1,
})

/** Size of a map. */
interface MapSize {
  readonly height: number
  readonly width: number
}

/** Reads a poly-BN per position. `betas` says whether it has `beta_c` and `beta_hw`. */
export function readPositionNorm(
  tensors: TensorSource,
  name: string,
  channels: number,
  { height, width }: MapSize,
  betas = false,
): PositionNorm {
  const map = [1, 1, height, width]
  const norm = {
    name,
    channels,
    height,
    width,
    gammaC: tensors.take(`${name}.gamma_c`, [channels]),
    gammaHW: tensors.take(`${name}.gamma_hw`, map),
    mean: tensors.take(`${name}.running_mean`, map),
    variance: tensors.takeVariance(`${name}.running_var`, map),
  }
  if (!betas) return norm
  return {
    ...norm,
    betaC: tensors.take(`${name}.beta_c`, [channels]),
    betaHW: tensors.take(`${name}.beta_hw`, map),
  }
}

/**
 * Reads the scales of attention's heads, and the constants of its rows.
 *
 * @param sizes number of heads, channels of each, and the map whose positions attend to each other
 */
export function readAttention(
  tensors: TensorSource,
  name: string,
  { heads, headChannels, height, width }: Pick<PolyAttention, 'heads' | 'headChannels'> & MapSize,
): PolyAttention {
  const rows = [1, heads, height * width, 1]
  return {
    name,
    heads,
    headChannels,
    scale: tensors.take(`${name}.scale`, [1, heads, 1, 1]),
    denominator: tensors.takeDenominator(`${name}.norm.running_denom`, rows),
    gamma: tensors.take(`${name}.norm.gamma`, rows),
  }
}

/** Reads a BatchNorm per channel. */
export const readChannelNorm = (tensors: TensorSource, name: string, channels: number): ChannelNorm => ({
  name,
  channels,
  weight: tensors.take(`${name}.weight`, [channels]),
  bias: tensors.take(`${name}.bias`, [channels]),
  mean: tensors.take(`${name}.running_mean`, [channels]),
  variance: tensors.takeVariance(`${name}.running_var`, [channels]),
})
