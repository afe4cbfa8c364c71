import { imaginaryOf, isComplexVector, realOf } from '../../circuit/constants/slot-vector.ts'
import type { SlotVector } from '../../circuit/types.ts'

// Arithmetic of slot vectors. No function changes its arguments; results may share arrays with them. Real
// vectors take no work for imaginary parts.

const negated = (values: Float64Array): Float64Array => values.map((value) => -value)

export const conjugated = (a: SlotVector): SlotVector =>
  isComplexVector(a) ? { real: a.real, imaginary: negated(a.imaginary) } : a

export const timesImaginaryUnit = (a: SlotVector): SlotVector => ({
  real: isComplexVector(a) ? negated(a.imaginary) : new Float64Array(a.length),
  imaginary: realOf(a),
})

/** a + sign * b. @param b repeated with its length, a power of two, as the period */
export function plus(a: SlotVector, b: SlotVector, sign: 1 | -1): SlotVector {
  const real = partPlus(realOf(a), realOf(b), sign)
  const [left, right] = [imaginaryOf(a), imaginaryOf(b)]
  if (left === undefined && right === undefined) return real
  const nothing = new Float64Array(real.length)
  return { real, imaginary: partPlus(left ?? nothing, right ?? nothing, sign) }
}

function partPlus(a: Float64Array, b: Float64Array, sign: 1 | -1): Float64Array {
  const mask = b.length - 1
  const sum = new Float64Array(a.length)
  for (let s = 0; s < sum.length; s++) sum[s] = a[s] + sign * b[s & mask]
  return sum
}

/** A sum of products, slot by slot. */
export class ProductSum {
  readonly #real: Float64Array
  #imaginary: Float64Array | undefined

  /** @param slots of the sum */
  constructor(slots: number) {
    this.#real = new Float64Array(slots)
  }

  /** Adds a * b. @param b repeated with its length, a power of two, as the period */
  add(a: SlotVector, b: SlotVector): this {
    const [left, right] = [imaginaryOf(a), imaginaryOf(b)]
    addProducts(this.#real, realOf(a), realOf(b), 1)
    if (left && right) addProducts(this.#real, left, right, -1)
    if (left || right) this.#imaginary ??= new Float64Array(this.#real.length)
    if (left) addProducts(this.#imaginary!, left, realOf(b), 1)
    if (right) addProducts(this.#imaginary!, realOf(a), right, 1)
    return this
  }

  slots(): SlotVector {
    return this.#imaginary === undefined ? this.#real : { real: this.#real, imaginary: this.#imaginary }
  }
}

function addProducts(sum: Float64Array, a: Float64Array, b: Float64Array, sign: 1 | -1): void {
  const mask = b.length - 1
  for (let s = 0; s < sum.length; s++) sum[s] += sign * a[s] * b[s & mask]
}
