import type { NodeOf, Shape } from './graph.ts'

/** The offset of each channel, where a bias is the same at all positions of a channel. */
export function channelBias({ bias, shape: [channels] }: NodeOf<'bias'>): Float64Array | undefined {
  const area = bias.length / channels
  const offsets = Float64Array.from({ length: channels }, (_, c) => bias[c * area])
  return bias.every((b, i) => b === offsets[Math.floor(i / area)]) ? offsets : undefined
}

/** The bias [C, H, W] that adds one offset to each channel. */
export function biasOfChannels(offsets: ArrayLike<number>, [channels, height, width]: Shape): Float64Array {
  const area = height * width
  return Float64Array.from({ length: channels * area }, (_, i) => offsets[Math.floor(i / area)])
}
