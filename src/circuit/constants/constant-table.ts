import { largestAbsolute } from '../laws.ts'
import type { Constant, ConstantId, ConstantList, SlotVector } from '../types.ts'
import { fineOf, isOuter } from './constant.ts'
import { InternPool } from './intern-pool.ts'
import { isComplexVector, realOf } from './slot-vector.ts'
import { Uint32Vector } from './uint32-vector.ts'

/** Distinct factors of constants, by number. */
export interface Factors {
  readonly length: number
  /** The values of a number below `length`, not to be changed. */
  at(number: number): Float64Array
}

/** Words by index. */
interface Words {
  readonly length: number
  at(index: number): number | undefined
}

const ALL_REAL: Words = { length: 0, at: () => 0 }

/**
 * A list of constants that stores the numbers of their factors. An object for each of millions of constants
 * would take several times the memory of their values. Reading a constant makes a view of its fine factor;
 * coarse factors, which many constants share, are stored as arrays.
 */
export class ConstantTable implements ConstantList {
  readonly factors: Factors
  /**
   * The factor that each constant is, or that is the fine one of an outer product; its real parts where it is
   * complex.
   */
  readonly fine: Words
  /** One more than the coarse factor of an outer product, 0 for plain constants. */
  readonly coarse: Words
  /** One more than the factor with the imaginary parts of `fine`, 0 where it is real. */
  readonly imaginary: Words
  readonly #shared = new Map<number, Float64Array>()

  /**
   * @param factors distinct; all that `fine`, `coarse` and `imaginary` refer to
   * @param imaginary absent where all constants are real
   */
  constructor(factors: Factors, fine: Words, coarse: Words, imaginary: Words = ALL_REAL) {
    this.factors = factors
    this.fine = fine
    this.coarse = coarse
    this.imaginary = imaginary
  }

  get length(): number {
    return this.fine.length
  }

  at(id: ConstantId): Constant {
    const fine = this.#fineOf(id)
    const coarse = this.coarse.at(id)!
    return coarse === 0 ? fine : { fine, coarse: this.#coarseOf(coarse - 1) }
  }

  map<T>(body: (constant: Constant, id: ConstantId) => T): T[] {
    return Array.from({ length: this.length }, (_, id) => body(this.at(id), id))
  }

  *[Symbol.iterator](): Iterator<Constant> {
    for (let id = 0; id < this.length; id++) yield this.at(id)
  }

  #fineOf(id: ConstantId): SlotVector {
    const real = this.factors.at(this.fine.at(id)!)
    const imaginary = this.imaginary.at(id)!
    return imaginary === 0 ? real : { real, imaginary: this.factors.at(imaginary - 1) }
  }

  #coarseOf(number: number): Float64Array {
    let coarse = this.#shared.get(number)
    if (coarse === undefined) {
      coarse = this.factors.at(number)
      this.#shared.set(number, coarse)
    }
    return coarse
  }
}

/** A constant's words in the columns of a table. */
export interface FactorNumbers {
  readonly fine: number
  readonly coarse: number
  readonly imaginary: number
}

/** A table that constants are added to. */
export class GrowingConstants extends ConstantTable {
  readonly #contents: InternPool
  readonly #fine: Uint32Vector
  readonly #coarse: Uint32Vector
  readonly #imaginary: Uint32Vector

  constructor() {
    const contents = new InternPool()
    const fine = new Uint32Vector()
    const coarse = new Uint32Vector()
    const imaginary = new Uint32Vector()
    super(contents, fine, coarse, imaginary)
    this.#contents = contents
    this.#fine = fine
    this.#coarse = coarse
    this.#imaginary = imaginary
  }

  /** The words of a constant, whose factors are kept: equal constants have equal ones. */
  factorsOf(constant: Constant): FactorNumbers {
    const values = fineOf(constant)
    const fine = this.#contents.numberOf(realOf(values))
    const coarse = isOuter(constant) ? 1 + this.#contents.numberOf(constant.coarse) : 0
    const imaginary = isComplexVector(values) ? 1 + this.#contents.numberOf(values.imaginary) : 0
    return { fine, coarse, imaginary }
  }

  /** @param factors as `factorsOf` gives them */
  push({ fine, coarse, imaginary }: FactorNumbers): ConstantId {
    this.#fine.push(fine)
    this.#coarse.push(coarse)
    this.#imaginary.push(imaginary)
    return this.length - 1
  }
}

/** A list as a table: itself where it is one. */
export function constantTable(constants: ConstantList): ConstantTable {
  if (constants instanceof ConstantTable) return constants
  const table = new GrowingConstants()
  for (const constant of constants) table.push(table.factorsOf(constant))
  return table
}

/**
 * Bound of the absolute value of a slot of each constant; NaN where any is NaN. The bound is exact for real
 * constants. For complex ones it is the modulus of the largest real and the largest imaginary part, at most
 * the square root of 2 too large. So each factor is looked at once, however many constants share it: the
 * constants of a small file can combine its factors in millions of ways.
 */
export function boundOfEach(constants: ConstantList): Float64Array {
  const { factors, fine, coarse, imaginary } = constantTable(constants)
  const largest = Float64Array.from({ length: factors.length }, (_, number) =>
    largestAbsolute(factors.at(number)),
  )
  return Float64Array.from({ length: fine.length }, (_, id) => {
    const [other, ofCoarse] = [imaginary.at(id)!, coarse.at(id)!]
    const real = largest[fine.at(id)!]
    const modulus = other === 0 ? real : Math.sqrt(real ** 2 + largest[other - 1] ** 2)
    return modulus * (ofCoarse === 0 ? 1 : largest[ofCoarse - 1])
  })
}
