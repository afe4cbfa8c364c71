import { isOuter, periodOf } from './constants/constant.ts'
import type { Constant } from './types.ts'

// Images of a batch share ciphertexts as the lowest-order factor of the slot number: slot s of image b is
// slot s * batch + b. What a circuit does to the slots of one image it does to those of all of them at once:
// its rotations go by multiples of the batch, and its constants repeat each number for every image.

/** The slot vector of a ciphertext from those of its images, one for each place of the batch. */
export function interleaveImages(images: readonly Float64Array[]): Float64Array {
  const [{ length }] = images
  const slots = new Float64Array(images.length * length)
  images.forEach((own, place) => {
    for (let s = 0; s < length; s++) slots[s * images.length + place] = own[s]
  })
  return slots
}

/** The slots of one image of a batch. */
export function slotsOfImage(slots: Float64Array, batch: number, place: number): Float64Array {
  return Float64Array.from({ length: slots.length / batch }, (_, s) => slots[s * batch + place])
}

/** Whether a batch divides the slots of a ciphertext as layouts and constants need it: into powers of two. */
export const isBatch = (batch: number, slots: number): boolean =>
  Number.isInteger(batch) && batch >= 1 && slots % batch === 0 && (batch & (batch - 1)) === 0

/**
 * Slots after which a constant repeats that has a period among the slots of one image. A single number stays
 * one.
 */
export const periodForBatch = (period: number, batch: number): number => (period === 1 ? 1 : period * batch)

/** A constant for one image, repeated for each of a batch. */
export function constantForBatch(constant: Constant, batch: number): Constant {
  if (batch === 1 || periodOf(constant) === 1) return constant
  if (!isOuter(constant)) return { fine: onesOf(batch), coarse: constant }
  return { fine: repeatEach(constant.fine, batch), coarse: constant.coarse }
}

/** Whether a constant has the same numbers for every image of a batch. */
export function isAlikeForImages(constant: Constant, batch: number): boolean {
  const lowest = isOuter(constant) ? constant.fine : constant
  if (periodOf(constant) === 1) return true
  return lowest.length % batch === 0 && lowest.every((value, i) => value === lowest[i - (i % batch)])
}

const ones = new Map<number, Float64Array>()

/** One array for each batch: constants of a circuit share it. */
function onesOf(batch: number): Float64Array {
  const known = ones.get(batch) ?? new Float64Array(batch).fill(1)
  ones.set(batch, known)
  return known
}

const repeatEach = (values: Float64Array, times: number): Float64Array =>
  Float64Array.from({ length: values.length * times }, (_, i) => values[Math.floor(i / times)])
