// Sums, products and scales of tensors [C, H, W]. They are plain loops, because `map` calls a function for
// each of millions of elements.

export function sum(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length)
  for (let i = 0; i < out.length; i++) out[i] = a[i] + b[i]
  return out
}

export function product(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length)
  for (let i = 0; i < out.length; i++) out[i] = a[i] * b[i]
  return out
}

/** gain * x + offset. */
export function affine(x: Float64Array, gain: number, offset = 0): Float64Array {
  const out = new Float64Array(x.length)
  for (let i = 0; i < out.length; i++) out[i] = gain * x[i] + offset
  return out
}

/** x[c, at] * channel[c]. */
export function scaleChannels(x: Float64Array, channel: Float64Array): Float64Array {
  const out = new Float64Array(x.length)
  const area = x.length / channel.length
  for (let c = 0, i = 0; c < channel.length; c++) {
    const factor = channel[c]
    for (const end = i + area; i < end; i++) out[i] = x[i] * factor
  }
  return out
}

/** x[c, at] * position[at]. */
export function scalePositions(x: Float64Array, position: Float64Array): Float64Array {
  const out = new Float64Array(x.length)
  const area = position.length
  for (let start = 0; start < x.length; start += area) {
    for (let at = 0; at < area; at++) out[start + at] = x[start + at] * position[at]
  }
  return out
}

/** x[c, at] * channel[c] * position[at]. */
export function scale(x: Float64Array, channel: Float64Array, position: Float64Array): Float64Array {
  const out = new Float64Array(x.length)
  const area = position.length
  for (let c = 0; c < channel.length; c++) {
    const factor = channel[c]
    const start = c * area
    for (let at = 0; at < area; at++) out[start + at] = x[start + at] * factor * position[at]
  }
  return out
}

/** (x[c, at] - mean[at]) * position[at] * channel[c]. */
export function normalise(
  x: Float64Array,
  { mean, position, channel }: Record<'mean' | 'position' | 'channel', Float64Array>,
): Float64Array {
  const out = new Float64Array(x.length)
  const area = position.length
  for (let c = 0; c < channel.length; c++) {
    const factor = channel[c]
    const start = c * area
    for (let at = 0; at < area; at++) out[start + at] = (x[start + at] - mean[at]) * position[at] * factor
  }
  return out
}

/** Exchanges channels 2k and 2k + 1 of [C, H, W], row-major. @param area H * W */
export function exchangePairs(x: Float64Array, area: number): Float64Array {
  const out = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += 2 * area) {
    out.set(x.subarray(start + area, start + 2 * area), start)
    out.set(x.subarray(start, start + area), start + area)
  }
  return out
}
