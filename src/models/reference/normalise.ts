import { type ChannelNorm, isPositionNorm, NORM_EPSILON, type Norm, type PositionNorm } from '../layers.ts'
import type { Tensor } from './tensor.ts'

/** A norm with its running statistics. */
export const normalise = (norm: Norm, x: Tensor): Tensor =>
  isPositionNorm(norm) ? normalisePositions(norm, x) : normaliseChannels(norm, x)

/** ChannelBatchNorm, whose statistics belong to positions and not to channels. */
function normalisePositions(norm: PositionNorm, x: Tensor): Tensor {
  const map = norm.height * norm.width
  const data = new Float64Array(x.data.length)
  for (let s = 0; s < map; s++) {
    const factor = norm.gammaHW[s] / Math.sqrt(norm.variance[s] + NORM_EPSILON)
    const offset = norm.betaHW?.[s] ?? 0
    for (let c = 0; c < norm.channels; c++) {
      const i = c * map + s
      data[i] = (x.data[i] - norm.mean[s]) * factor * norm.gammaC[c] + (norm.betaC?.[c] ?? 0) + offset
    }
  }
  return { shape: x.shape, data }
}

/** BatchNorm, whose statistics belong to channels. */
function normaliseChannels({ weight, bias, mean, variance }: ChannelNorm, x: Tensor): Tensor {
  const [, height, width] = x.shape
  const data = x.data.map((value, i) => {
    const c = Math.floor(i / (height * width))
    return ((value - mean[c]) / Math.sqrt(variance[c] + NORM_EPSILON)) * weight[c] + bias[c]
  })
  return { shape: x.shape, data }
}
