import { isOuter, periodOf } from './constants/constant.ts'
import { isComplexVector, mapParts, partsOf } from './constants/slot-vector.ts'
import type { Constant, SlotVector } from './types.ts'

// Images of a batch share ciphertexts: slot s of image b is slot s * batch + b. A circuit does the same to
// the slots of all images at once, because its rotations are multiples of the batch and its constants repeat
// each number for every image.

/**
 * Interleaves the slot vectors of the images of a batch, one for each place, into that of their ciphertext.
 *
 * @param images all real or all complex
 */
export function interleaveImages(images: readonly SlotVector[]): SlotVector {
  const [first] = images
  const own = images.map(partsOf)
  const [real, imaginary] = partsOf(first).map((_, part) => interleaved(own.map((parts) => parts[part])))
  return imaginary === undefined ? real : { real, imaginary }
}

function interleaved(images: readonly Float64Array[]): Float64Array {
  const [{ length }] = images
  const slots = new Float64Array(images.length * length)
  images.forEach((own, place) => {
    for (let s = 0; s < length; s++) slots[s * images.length + place] = own[s]
  })
  return slots
}

/** The slots of one image of a batch. */
export const slotsOfImage = (slots: SlotVector, batch: number, place: number): SlotVector =>
  mapParts(slots, (part) =>
    Float64Array.from({ length: part.length / batch }, (_, s) => part[s * batch + place]),
  )

/**
 * Whether a batch divides the slots of a ciphertext into powers of two, as layouts and constants need it.
 */
export const isBatch = (batch: number, slots: number): boolean =>
  Number.isInteger(batch) && batch >= 1 && slots % batch === 0 && (batch & (batch - 1)) === 0

/**
 * The period of a constant in the slots of a whole ciphertext, from its period in the slots of one image. A
 * single number has period 1 in both.
 */
export const periodForBatch = (period: number, batch: number): number => (period === 1 ? 1 : period * batch)

/**
 * A constant for one image, repeated for each of a batch. A plain complex constant is written out, because
 * coarse factors are real.
 */
export function constantForBatch(constant: Constant, batch: number): Constant {
  if (batch === 1 || periodOf(constant) === 1) return constant
  const repeated = (values: SlotVector) => mapParts(values, (part) => repeatEach(part, batch))
  if (isOuter(constant)) return { fine: repeated(constant.fine), coarse: constant.coarse }
  return isComplexVector(constant) ? repeated(constant) : { fine: onesOf(batch), coarse: constant }
}

/** Whether a part of a constant's fine factor has the same numbers for every image of a batch. */
export const areAlike = (part: Float64Array, batch: number): boolean =>
  part.length % batch === 0 && part.every((value, i) => value === part[i - (i % batch)])

const ones = new Map<number, Float64Array>()

/** Makes one array for each batch, which all constants of a circuit share. */
function onesOf(batch: number): Float64Array {
  const known = ones.get(batch) ?? new Float64Array(batch).fill(1)
  ones.set(batch, known)
  return known
}

const repeatEach = (values: Float64Array, times: number): Float64Array =>
  Float64Array.from({ length: values.length * times }, (_, i) => values[Math.floor(i / times)])
