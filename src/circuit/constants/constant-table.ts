import { largestAbsolute } from '../laws.ts'
import type { Constant, ConstantId, ConstantList } from '../types.ts'
import { isOuter } from './constant.ts'
import { InternPool } from './intern-pool.ts'
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

/**
 * A list of constants that stores the numbers of their factors. An object for each of millions of constants
 * would take several times the memory of their values. Reading a constant makes a view of its fine factor;
 * coarse factors, which many constants share, are stored as arrays.
 */
export class ConstantTable implements ConstantList {
  readonly factors: Factors
  /** The factor that each constant is, or that is the fine one of an outer product. */
  readonly fine: Words
  /** One more than the coarse factor of an outer product, 0 for plain constants. */
  readonly coarse: Words
  readonly #shared = new Map<number, Float64Array>()

  /** @param factors distinct; all that `fine` and `coarse` refer to */
  constructor(factors: Factors, fine: Words, coarse: Words) {
    this.factors = factors
    this.fine = fine
    this.coarse = coarse
  }

  get length(): number {
    return this.fine.length
  }

  at(id: ConstantId): Constant {
    const fine = this.factors.at(this.fine.at(id)!)
    const coarse = this.coarse.at(id)!
    return coarse === 0 ? fine : { fine, coarse: this.#coarseOf(coarse - 1) }
  }

  map<T>(body: (constant: Constant, id: ConstantId) => T): T[] {
    return Array.from({ length: this.length }, (_, id) => body(this.at(id), id))
  }

  *[Symbol.iterator](): Iterator<Constant> {
    for (let id = 0; id < this.length; id++) yield this.at(id)
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

/** A table that constants are added to. */
export class GrowingConstants extends ConstantTable {
  readonly #contents: InternPool
  readonly #fine: Uint32Vector
  readonly #coarse: Uint32Vector

  constructor() {
    const contents = new InternPool()
    const fine = new Uint32Vector()
    const coarse = new Uint32Vector()
    super(contents, fine, coarse)
    this.#contents = contents
    this.#fine = fine
    this.#coarse = coarse
  }

  /**
   * The numbers of a constant's factors, which are kept: equal constants have equal ones. As in `fine` and
   * `coarse`.
   */
  factorsOf(constant: Constant): readonly [fine: number, coarse: number] {
    if (!isOuter(constant)) return [this.#contents.numberOf(constant), 0]
    return [this.#contents.numberOf(constant.fine), 1 + this.#contents.numberOf(constant.coarse)]
  }

  /** @param factors as `factorsOf` gives them */
  push([fine, coarse]: readonly [fine: number, coarse: number]): ConstantId {
    this.#fine.push(fine)
    this.#coarse.push(coarse)
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
 * The largest absolute value of a slot of each constant; NaN where any is NaN. Factors that constants share
 * are looked at once.
 */
export function largestOfEach(constants: ConstantList): Float64Array {
  const { factors, fine, coarse } = constantTable(constants)
  const largest = Float64Array.from({ length: factors.length }, (_, number) =>
    largestAbsolute(factors.at(number)),
  )
  return Float64Array.from({ length: fine.length }, (_, id) => {
    const other = coarse.at(id)!
    return largest[fine.at(id)!] * (other === 0 ? 1 : largest[other - 1])
  })
}
