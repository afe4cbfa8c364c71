import { imaginaryOf, realOf } from '../../src/circuit/constants/slot-vector.ts'
import type { ComplexVector, SlotVector } from '../../src/circuit/types.ts'

/** Real part, imaginary part. */
export type Complex = readonly [number, number]

export const ZERO: Complex = [0, 0]

const parts = (a: Complex | number): Complex => (typeof a === 'number' ? [a, 0] : a)

export function sum(a: Complex | number, b: Complex | number): Complex {
  const [[a0, a1], [b0, b1]] = [parts(a), parts(b)]
  return [a0 + b0, a1 + b1]
}

export function times(a: Complex | number, b: Complex | number): Complex {
  const [[a0, a1], [b0, b1]] = [parts(a), parts(b)]
  return [a0 * b0 - a1 * b1, a0 * b1 + a1 * b0]
}

export const conjugate = ([real, imaginary]: Complex): Complex => [real, -imaginary]

export const numberAt = (values: SlotVector, s: number): Complex => [
  realOf(values)[s],
  imaginaryOf(values)?.[s] ?? 0,
]

export function complexVector(length: number, at: (index: number) => Complex): ComplexVector {
  const numbers = Array.from({ length }, (_, index) => at(index))
  return {
    real: Float64Array.from(numbers, ([real]) => real),
    imaginary: Float64Array.from(numbers, ([, imaginary]) => imaginary),
  }
}
