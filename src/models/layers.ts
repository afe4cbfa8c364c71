import type { KernelShape } from './kernel.ts'

/** A convolution. Weights are row-major [out, in / groups, kernel, kernel]. */
export interface Convolution extends KernelShape {
  /** The checkpoint's name of the weight, for messages. */
  readonly name: string
  readonly weight: Float32Array
  /** [out]; absent where the layer has none. It is added behind the zero padding. */
  readonly bias?: Float32Array
  readonly outChannels: number
  readonly inChannels: number
  /** 1, or `inChannels` for a depthwise convolution; output o reads the inputs of group o * groups / out. */
  readonly groups: number
}

/**
 * ChannelBatchNorm, poly-BN per position: y[c,h,w] = (x - mean[h,w]) / sqrt(variance[h,w] + 1e-5) *
 * gammaHW[h,w] * gammaC[c] + betaC[c] + betaHW[h,w].
 */
export interface PositionNorm {
  readonly name: string
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly gammaC: Float32Array
  readonly gammaHW: Float32Array
  /** Absent where the norm has no betas. */
  readonly betaC?: Float32Array
  readonly betaHW?: Float32Array
  readonly mean: Float32Array
  readonly variance: Float32Array
}

/** BatchNorm per channel: y[c,h,w] = (x - mean[c]) / sqrt(variance[c] + 1e-5) * weight[c] + bias[c]. */
export interface ChannelNorm {
  readonly name: string
  readonly channels: number
  readonly weight: Float32Array
  readonly bias: Float32Array
  readonly mean: Float32Array
  readonly variance: Float32Array
}

/**
 * Polynomial attention ("Activation-Free Backbones for Image Recognition", ICML 2026): of each head out[t] =
 * sum over u of A[t, u] v[u], where A[t, u] = (sigmoid(scale) * (q[t] . k[u]) + 1)^4 / (denominator[t] +
 * 1e-6) * gamma[t]. Head h has channels h * headChannels .. (h + 1) * headChannels - 1, and positions are
 * row-major.
 */
export interface PolyAttention {
  readonly name: string
  readonly heads: number
  readonly headChannels: number
  /** [heads] */
  readonly scale: Float32Array
  /** [heads, positions]; constants at inference. */
  readonly denominator: Float32Array
  /** [heads, positions] */
  readonly gamma: Float32Array
}

/** The constant that attention adds to denominators. */
export const DENOMINATOR_EPSILON = 1e-6

/** A norm with running statistics, which are constants at inference. */
export type Norm = PositionNorm | ChannelNorm

/** The constant that norms add to the variance. */
export const NORM_EPSILON = 1e-5

export const isPositionNorm = (norm: Norm): norm is PositionNorm => 'gammaHW' in norm
