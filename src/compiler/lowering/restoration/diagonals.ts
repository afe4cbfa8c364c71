import type { ComplexVector } from '../../../circuit/types.ts'

/**
 * A linear map of slots by its diagonals: y[s] = sum over shifts k of diagonal_k[s mod period] * x[s + k],
 * indices modulo the number of slots.
 */
export interface DiagonalMap {
  readonly slots: number
  /** Length of every diagonal, a power of two. */
  readonly period: number
  /** The diagonals that are not zero, by shift in slots, from 0 to slots - 1. */
  readonly diagonals: ReadonlyMap<number, ComplexVector>
}

/** The map that applies `first`, then `second`. */
export function composed(first: DiagonalMap, second: DiagonalMap): DiagonalMap {
  const { slots } = first
  const period = Math.max(first.period, second.period)
  const diagonals = new Map<number, ComplexVector>()
  for (const [shift, outer] of second.diagonals) {
    for (const [inner, factors] of first.diagonals) {
      const sum = sumAt(diagonals, (shift + inner) % slots, period)
      addProducts(sum, outer, second.period, factors, first.period, shift)
    }
  }
  return { slots, period, diagonals }
}

function sumAt(diagonals: Map<number, ComplexVector>, shift: number, period: number): ComplexVector {
  let sum = diagonals.get(shift)
  if (sum === undefined) {
    sum = { real: new Float64Array(period), imaginary: new Float64Array(period) }
    diagonals.set(shift, sum)
  }
  return sum
}

/** sum[s] += outer[s] * inner[s + shift]. */
function addProducts(
  sum: ComplexVector,
  outer: ComplexVector,
  outerPeriod: number,
  inner: ComplexVector,
  innerPeriod: number,
  shift: number,
): void {
  for (let s = 0; s < sum.real.length; s++) {
    const a = s & (outerPeriod - 1)
    const b = (s + shift) & (innerPeriod - 1)
    sum.real[s] += outer.real[a] * inner.real[b] - outer.imaginary[a] * inner.imaginary[b]
    sum.imaginary[s] += outer.real[a] * inner.imaginary[b] + outer.imaginary[a] * inner.real[b]
  }
}

/** The map from rotated inputs to rotated outputs: input and output are rotated left by so many slots. */
export function turned(map: DiagonalMap, input: number, output: number): DiagonalMap {
  const { slots, period } = map
  const diagonals = new Map<number, ComplexVector>()
  for (const [shift, diagonal] of map.diagonals) {
    diagonals.set(modulo(shift + output - input, slots), rotated(diagonal, output))
  }
  return { slots, period, diagonals }
}

/** diagonal[s + steps], with the diagonal's length as the period. */
export function rotated({ real, imaginary }: ComplexVector, steps: number): ComplexVector {
  const mask = real.length - 1
  const at = (part: Float64Array) => part.map((_, s) => part[(s + steps) & mask])
  return { real: at(real), imaginary: at(imaginary) }
}

export const modulo = (value: number, modulus: number): number => ((value % modulus) + modulus) % modulus

/** A diagonal times a real number. */
export const scaled = ({ real, imaginary }: ComplexVector, factor: number): ComplexVector => ({
  real: real.map((value) => value * factor),
  imaginary: imaginary.map((value) => value * factor),
})
