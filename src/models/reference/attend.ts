import { DENOMINATOR_EPSILON, type PolyAttention } from '../layers.ts'
import { sigmoid } from './sigmoid.ts'
import type { Tensor } from './tensor.ts'

/**
 * Polynomial attention, head by head and row by row.
 *
 * @param query [heads * headChannels, H, W], as key and value
 */
export function attend(layer: PolyAttention, query: Tensor, key: Tensor, value: Tensor): Tensor {
  const { heads, headChannels, gamma, denominator } = layer
  const area = query.shape[1] * query.shape[2]
  const data = new Float64Array(value.data.length)
  for (let head = 0; head < heads; head++) {
    const first = head * headChannels * area
    const scale = sigmoid(layer.scale[head])
    for (let row = 0; row < area; row++) {
      const at = head * area + row
      const factor = gamma[at] / (denominator[at] + DENOMINATOR_EPSILON)
      for (let column = 0; column < area; column++) {
        let product = 0
        for (let c = first; c < first + headChannels * area; c += area) {
          product += query.data[c + row] * key.data[c + column]
        }
        const score = factor * (scale * product + 1) ** 4
        for (let c = first; c < first + headChannels * area; c += area) {
          data[c + row] += score * value.data[c + column]
        }
      }
    }
  }
  return { shape: value.shape, data }
}
