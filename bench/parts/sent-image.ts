import type { Circuit } from '../../src/circuit/index.ts'
import type { PreprocessedImage } from '../../src/preprocessing/index.ts'

/** The channels that a circuit takes: all of them, or the first of three equal ones. */
export function sent(image: Float64Array, { input: { image: shape } }: Circuit): PreprocessedImage {
  const [channels, height, width] = shape
  return { shape, tensor: image.slice(0, channels * height * width) }
}
