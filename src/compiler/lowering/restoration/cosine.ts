import type { ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'
import { dividedByT, interpolated } from './chebyshev.ts'
import {
  DEGREE,
  DOUBLINGS,
  HIGH_PRIMES,
  plusNumber,
  primesBetween,
  rescaledTo,
  timesNumber,
} from './shape.ts'

// A raised coefficient is (I + m / Q) Q for an integer I. Its sine, sin(2 pi (I + m / Q)) = sin(2 pi m / Q),
// is near 2 pi m / Q, and the same for all I. It is cos(2 pi (t - 1/4)), which takes three double angles
// after a cosine of an eighth of the angle. That cosine is even about t = 1/4, so it is a polynomial in T_2
// of half the degree.
//
// Sources: Han and Ki, ePrint 2019/688, for the cosine and double angles; Bossuat et al., ePrint 2020/1203,
// section 5, for the depth of polynomials in the Chebyshev basis.

/** Largest |t - 1/4| for |t| up to the bound. */
export const cosineRange = (bound: number): number => bound + 1 / 4

/**
 * sin(2 pi t) for a value whose slots are real, x = (t - 1/4) / `cosineRange(bound)`.
 *
 * A factor exp(i angle) on the slots of the second copy takes no level: the coefficients of the polynomial
 * have it, each double angle squares it, and the -1 of a double angle has what the square has.
 *
 * @param value at a scale near the product of the primes of each level
 * @param angle of the factor, in radians
 * @returns at the level `COSINE_DEPTH` levels below, near the value's scale
 */
export function lowerSine(builder: CircuitBuilder, value: ValueId, bound: number, angle = 0): ValueId {
  const range = cosineRange(bound)
  const eighth = (y: number): number =>
    (2 * Math.PI * range * Math.sqrt(Math.max(0, (y + 1) / 2))) / 2 ** DOUBLINGS
  const coefficients = interpolated((y) => Math.cos(eighth(y)), DEGREE)
  const polynomials = new Polynomials(builder, doubled(builder, value), angle / 2 ** DOUBLINGS)
  const { scale } = builder.type(value)
  let cosine = polynomials.evaluate(coefficients, Math.log2(DEGREE + 1), scale)
  for (let left = DOUBLINGS - 1; left >= 0; left--) cosine = doubled(builder, cosine, angle / 2 ** left)
  return cosine
}

/** T_2: 2 x^2 - 1, one level lower. @param angle of the 1, as for `numberDraft` */
const doubled = (builder: CircuitBuilder, value: ValueId, angle = 0): ValueId =>
  oneLevelLower(builder, plusNumber(builder, twice(builder, product(builder, value, value)), -1, angle))

const twice = (builder: CircuitBuilder, value: ValueId): ValueId => builder.add(value, value)

const product = (builder: CircuitBuilder, left: ValueId, right: ValueId): ValueId =>
  builder.relinearise(builder.multiply(left, right))

const oneLevelLower = (builder: CircuitBuilder, value: ValueId): ValueId =>
  rescaledTo(builder, value, builder.type(value).level - HIGH_PRIMES)

/** Terms of a polynomial that are added up without a further product. */
const LEAF_DEGREE = 3

/** Polynomials in the Chebyshev basis of one value. Powers are made once. */
class Polynomials {
  readonly #builder: CircuitBuilder
  /** T_k by k. */
  readonly #powers: ValueId[] = []
  /** Level of the value. */
  readonly #level: number
  readonly #angle: number

  /** @param angle of the polynomials' coefficients */
  constructor(builder: CircuitBuilder, value: ValueId, angle: number) {
    this.#builder = builder
    this.#angle = angle
    this.#powers[1] = value
    this.#level = builder.type(value).level
  }

  /**
   * @param coefficients of T_0, T_1, ..
   * @param depth levels below the value at which the result is
   * @param scale of the result
   */
  evaluate(coefficients: readonly number[], depth: number, scale: number): ValueId {
    const [above, below] = [this.#levelAt(depth - 1), this.#levelAt(depth)]
    const wide = scale * primesBetween(this.#builder, below, above)
    return rescaledTo(this.#builder, this.#beforeRescale(coefficients, depth, wide), below)
  }

  /** The polynomial's value at the level above that of its depth, and at a scale that a rescale follows. */
  #beforeRescale(coefficients: readonly number[], depth: number, scale: number): ValueId {
    const degree = coefficients.length - 1
    if (degree <= LEAF_DEGREE && depthOf(degree) < depth) return this.#leaf(coefficients, depth, scale)
    const m = 2 ** depthOf((degree + 1) / 2)
    const { quotient, remainder } = dividedByT(coefficients, m)
    const level = this.#levelAt(depth - 1)
    const power = this.#builder.dropTo(this.#power(m), level)
    const factor = this.evaluate(quotient, depth - 1, scale / this.#builder.type(power).scale)
    const upper = product(this.#builder, factor, power)
    return this.#builder.add(upper, this.#beforeRescale(remainder, depth, scale))
  }

  #leaf(coefficients: readonly number[], depth: number, scale: number): ValueId {
    const level = this.#levelAt(depth - 1)
    const terms = coefficients.slice(1).map((coefficient, i) => {
      const power = this.#builder.dropTo(this.#power(i + 1), level)
      return timesNumber(this.#builder, power, coefficient, scale, this.#angle)
    })
    return plusNumber(
      this.#builder,
      terms.reduce((sum, term) => this.#builder.add(sum, term)),
      coefficients[0],
      this.#angle,
    )
  }

  /** T_k = 2 T_a T_b - T_(a - b), with a the next power of two and b = k - a, or both half of k. */
  #power(k: number): ValueId {
    this.#powers[k] ??= this.#newPower(k)
    return this.#powers[k]
  }

  #newPower(k: number): ValueId {
    const builder = this.#builder
    const a = 2 ** (depthOf(k) - 1)
    const b = k - a
    if (a === b) return doubled(builder, this.#power(a))
    const level = this.#levelAt(depthOf(k) - 1)
    const at = (power: number): ValueId => builder.dropTo(this.#power(power), level)
    const both = twice(builder, product(builder, at(a), at(b)))
    const less = timesNumber(builder, at(a - b), 1, builder.type(both).scale)
    return oneLevelLower(builder, builder.subtract(both, less))
  }

  #levelAt(depth: number): number {
    return this.#level - HIGH_PRIMES * depth
  }
}

/** Depth of T_k. */
const depthOf = (k: number): number => Math.ceil(Math.log2(k))
