import { largestAbsolute } from '../laws.ts'
import type { ComplexVector, SlotVector } from '../types.ts'

/** Whether numbers have imaginary parts, be they all zero. */
export const isComplexVector = (values: SlotVector): values is ComplexVector => 'imaginary' in values

/** The real parts. */
export const realOf = (values: SlotVector): Float64Array => (isComplexVector(values) ? values.real : values)

/** The imaginary parts; undefined where all of them are zero. */
export const imaginaryOf = (values: SlotVector): Float64Array | undefined =>
  isComplexVector(values) ? values.imaginary : undefined

/** The real parts, and the imaginary ones if there are any. */
export const partsOf = (values: SlotVector): readonly Float64Array[] =>
  isComplexVector(values) ? [values.real, values.imaginary] : [values]

/** Applies a function to the real parts, and to the imaginary ones if there are any. */
export function mapParts(values: ComplexVector, map: (part: Float64Array) => Float64Array): ComplexVector
export function mapParts(values: SlotVector, map: (part: Float64Array) => Float64Array): SlotVector
export function mapParts(values: SlotVector, map: (part: Float64Array) => Float64Array): SlotVector {
  if (!isComplexVector(values)) return map(values)
  return { real: map(values.real), imaginary: map(values.imaginary) }
}

/** Numbers padded with zeros to all slots. @param values at most `slots` numbers; copied */
export function allSlots(values: ComplexVector, slots: number): ComplexVector
export function allSlots(values: SlotVector, slots: number): SlotVector
export function allSlots(values: SlotVector, slots: number): SlotVector {
  return mapParts(values, (part) => {
    const whole = new Float64Array(slots)
    whole.set(part)
    return whole
  })
}

/** The largest absolute value of a number; NaN when any part is NaN. */
export function largestModulus(values: SlotVector): number {
  if (!isComplexVector(values)) return largestAbsolute(values)
  const { real, imaginary } = values
  let most = 0
  for (let i = 0; i < real.length; i++) most = Math.max(most, Math.sqrt(real[i] ** 2 + imaginary[i] ** 2))
  return most
}
