/** A feature map [C, H, W], row-major, in float64. */
export interface Tensor {
  readonly shape: readonly [channels: number, height: number, width: number]
  readonly data: Float64Array
}

/** A tensor of the same shape, each element made from those at its index. */
export function combine(a: Tensor, b: Tensor, value: (a: number, b: number) => number): Tensor {
  return { shape: a.shape, data: a.data.map((x, i) => value(x, b.data[i])) }
}

/** Channels `from` up to but excluding `to`, as a view of the same numbers. */
export function channelRange({ shape: [, height, width], data }: Tensor, from: number, to: number): Tensor {
  const map = height * width
  return { shape: [to - from, height, width], data: data.subarray(from * map, to * map) }
}

/** factor * x */
export const scaled = ({ shape, data }: Tensor, factor: number): Tensor => ({
  shape,
  data: data.map((x) => factor * x),
})

/** factors[c] * x[c] */
export function scaledChannels({ shape, data }: Tensor, factors: ArrayLike<number>): Tensor {
  const [, height, width] = shape
  return { shape, data: data.map((x, i) => x * factors[Math.floor(i / (height * width))]) }
}

/** The channel axis reversed. */
export function flipChannels(x: Tensor): Tensor {
  const [channels, height, width] = x.shape
  const map = height * width
  const data = new Float64Array(x.data.length)
  for (let c = 0; c < channels; c++) {
    data.set(x.data.subarray(c * map, (c + 1) * map), (channels - 1 - c) * map)
  }
  return { shape: x.shape, data }
}
