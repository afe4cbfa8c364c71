import type { InputSpec } from '../../src/circuit/types.ts'
import type { PreprocessedImage } from '../../src/preprocessing/index.ts'

/**
 * An image with its contrast stretched.
 *
 * @param input a preprocessed image, [3, H, W]; if the circuit takes one channel, all three are equal
 * @returns the tensor for the circuit, and the three channels for the network in the clear
 */
export function stretched(
  input: ArrayLike<number>,
  factor: number,
  { image: shape }: Pick<InputSpec, 'image'>,
): { sent: PreprocessedImage; whole: Float64Array } {
  const whole = Float64Array.from(input, (value) => factor * value)
  const [channels, height, width] = shape
  return { sent: { shape, tensor: whole.subarray(0, channels * height * width) }, whole }
}

/** The factor that stretches an image's largest value to just below a bound. */
export const factorWithin = (input: ArrayLike<number>, bound: number): number =>
  (0.999 * bound) / Array.from(input).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
