import { largestAbsolute } from '../laws.ts'
import type { Constant, ConstantList, OuterConstant } from '../types.ts'

export const isOuter = (constant: Constant): constant is OuterConstant => 'fine' in constant

/** Slots after which a constant repeats. */
export const periodOf = (constant: Constant): number =>
  isOuter(constant) ? constant.fine.length * constant.coarse.length : constant.length

/** The factors of an outer constant, or the values of a plain one. */
export const factorsOf = (constant: Constant): readonly Float64Array[] =>
  isOuter(constant) ? [constant.fine, constant.coarse] : [constant]

/** One period, written out. */
export function valuesOf(constant: Constant): Float64Array {
  if (!isOuter(constant)) return constant
  const { fine, coarse } = constant
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
  factorsOf(constant).reduce((product, factor) => product * largestAbsolute(factor), 1)

/** A number for each constant, of which there may be millions. */
export function numbersOf(constants: ConstantList, numberOf: (constant: Constant) => number): Float64Array {
  const numbers = new Float64Array(constants.length)
  let id = 0
  for (const constant of constants) numbers[id++] = numberOf(constant)
  return numbers
}
