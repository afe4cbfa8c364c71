import type { PolyNorm } from '../network.ts'
import type { Tensor } from './tensor.ts'

/** The constant that ChannelBatchNorm adds to the variance. */
export const NORM_EPSILON = 1e-5

/** ChannelBatchNorm with its running statistics, which belong to positions and not to channels. */
export function normalise(norm: PolyNorm, x: Tensor): Tensor {
  const map = norm.height * norm.width
  const data = new Float64Array(x.data.length)
  for (let s = 0; s < map; s++) {
    const factor = norm.gammaHW[s] / Math.sqrt(norm.variance[s] + NORM_EPSILON)
    for (let c = 0; c < norm.channels; c++) {
      const i = c * map + s
      data[i] = (x.data[i] - norm.mean[s]) * factor * norm.gammaC[c]
    }
  }
  return { shape: x.shape, data }
}
