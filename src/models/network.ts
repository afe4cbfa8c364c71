import type { NetworkConfig } from './config.ts'

/** A bias-free convolution. Weights are row-major [out, in / groups, kernel, kernel]. */
export interface Convolution {
  /** The checkpoint's name of the weight, for messages. */
  readonly name: string
  readonly weight: Float32Array
  readonly outChannels: number
  readonly inChannels: number
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly dilation: number
  /** 1, or `inChannels` for a depthwise convolution. */
  readonly groups: number
}

/** ChannelBatchNorm: y[c,h,w] = (x - mean[h,w]) / sqrt(variance[h,w] + 1e-5) * gammaHW[h,w] * gammaC[c]. */
export interface PolyNorm {
  readonly name: string
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly gammaC: Float32Array
  readonly gammaHW: Float32Array
  readonly mean: Float32Array
  readonly variance: Float32Array
}

/** p += sigmoid(skip) * norm(pointwiseOut(depthwise(coarse(b) * flip(fine(b))))), b = pointwiseIn(p). */
export interface PolyConv {
  readonly pointwiseIn: Convolution
  readonly coarse: Convolution
  readonly fine: Convolution
  readonly depthwise: Convolution
  readonly pointwiseOut: Convolution
  readonly norm: PolyNorm
  /** The raw Sigmoid-Scale value. */
  readonly skip: number
}

/** p += sigmoid(skip) * pointwiseOut(norm(high * low)), [high, low] = split(pointwiseIn(p)). */
export interface PolyMlp {
  readonly pointwiseIn: Convolution
  readonly norm: PolyNorm
  readonly pointwiseOut: Convolution
  readonly skip: number
}

export interface Cell {
  /**
   * Convolutions applied in order to s0 and to s1 before this cell; absent where the cell does not downsize.
   */
  readonly reductions?: { readonly s0: readonly Convolution[]; readonly s1: readonly Convolution[] }
  /** Per-channel scales of s0 and s1. */
  readonly preprocess0: Float32Array
  readonly preprocess1: Float32Array
  readonly norm: PolyNorm
  readonly stacks: readonly { readonly conv: PolyConv; readonly mlp: PolyMlp }[]
  readonly channels: number
  /** Map size inside the cell. */
  readonly height: number
  readonly width: number
}

/** A validated network: every tensor is there and has the shape that the config prescribes. */
export interface Network {
  readonly config: NetworkConfig
  /** Size of the preprocessed image; channels are 3. */
  readonly height: number
  readonly width: number
  readonly stem: Convolution
  readonly cells: readonly Cell[]
  readonly norm: PolyNorm
  /** 1x1, C to 4C; split into halves l and r. */
  readonly proj: Convolution
  readonly head: {
    readonly classes: number
    /** [classes, 2C] */
    readonly weight: Float32Array
    readonly bias: Float32Array
  }
}
