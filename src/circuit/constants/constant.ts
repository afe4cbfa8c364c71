import { largestAbsolute } from '../laws.ts'
import type { Constant, ConstantList, OuterConstant, SlotVector } from '../types.ts'
import { isComplexVector, largestModulus, mapParts, realOf } from './slot-vector.ts'

export const isOuter = (constant: Constant): constant is OuterConstant => 'fine' in constant

/** The plain constant, or the fine factor of an outer one. */
export const fineOf = (constant: Constant): SlotVector => (isOuter(constant) ? constant.fine : constant)

/** Whether a constant has imaginary parts. */
export const isComplex = (constant: Constant): boolean => isComplexVector(fineOf(constant))

/** Slots after which a constant repeats. */
export const periodOf = (constant: Constant): number =>
  realOf(fineOf(constant)).length * (isOuter(constant) ? constant.coarse.length : 1)

/** One period, written out. */
export function valuesOf(constant: Constant): SlotVector {
  if (!isOuter(constant)) return constant
  const { fine, coarse } = constant
  return mapParts(fine, (part) => outerProduct(part, coarse))
}

function outerProduct(fine: Float64Array, coarse: Float64Array): Float64Array {
  const values = new Float64Array(fine.length * coarse.length)
  coarse.forEach((factor, position) => {
    if (factor === 0) return
    const start = position * fine.length
    for (let i = 0; i < fine.length; i++) values[start + i] = fine[i] * factor
  })
  return values
}

/** The largest absolute value of a slot; NaN when any is NaN. */
export const largestOf = (constant: Constant): number =>
  largestModulus(fineOf(constant)) * (isOuter(constant) ? largestAbsolute(constant.coarse) : 1)

/** A number for each constant, of which there may be millions. */
export function numbersOf(constants: ConstantList, numberOf: (constant: Constant) => number): Float64Array {
  const numbers = new Float64Array(constants.length)
  let id = 0
  for (const constant of constants) numbers[id++] = numberOf(constant)
  return numbers
}
