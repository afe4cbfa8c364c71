import { type InputSpec, type OutputSpec, pack, spaceToDepth } from '../../circuit/index.ts'

/**
 * The slot vectors that a client would encrypt.
 *
 * @param image [3, H, W], preprocessed; where the circuit takes one channel, the three are equal
 */
export function packImage(input: InputSpec, image: Float64Array, slots: number): Float64Array[] {
  const [channels, height, width] = input.image
  const sent = image.subarray(0, channels * height * width)
  return pack(input.layout, spaceToDepth(sent, input.image, input.patch), slots)
}

/** The logits from the decrypted slots: the mean of the copies of each. */
export function logitsOf({ classes, period }: OutputSpec, slots: Float64Array): Float64Array {
  const logits = new Float64Array(classes)
  slots.forEach((value, s) => {
    if (s % period < classes) logits[s % period] += (value * period) / slots.length
  })
  return logits
}
