import { largestOf } from '../../../circuit/constants/constant.ts'
import { type FactorNumbers, GrowingConstants } from '../../../circuit/constants/constant-table.ts'
import { FNV_OFFSET_BASIS, fnv1aStep, HashIndex, mixed } from '../../../circuit/constants/hash-index.ts'
import { periodForBatch } from '../../../circuit/image-batch.ts'
import type { Constant, ConstantId, ConstantList } from '../../../circuit/types.ts'
import type { ConstantStatistics } from '../../graph/statistics.ts'

/** Computes the slots of a constant; undefined when all slots are zero. Drafts never call it. */
export type MakeConstant = () => Constant | undefined

/** A constant whose slots are not computed yet. */
export interface ConstantDraft {
  readonly period: number
  /**
   * Expected root mean square of the values in the slots where the weighted sum has elements, from all
   * weights of the layer. The noise model reads it.
   */
  readonly gain: number
  /**
   * Variance of the error that rounding makes in a weight of the layer, by that of an encoded real constant;
   * 1 by default.
   */
  readonly rounding?: number
  /** Whether encoding at the scales in use rounds nothing. */
  readonly exact?: boolean
  readonly make: MakeConstant
  /** Whether `make` would return undefined. Absent where `make` always returns a constant. */
  readonly isZero?: () => boolean
}

/** Numbers the constants of a circuit or of a draft. */
export interface ConstantPool {
  /** The constants; a draft has none. */
  readonly constants: ConstantList
  /** Period in the ciphertexts' slots and gain, by the ids that `idOf` returns. */
  readonly statistics: readonly ConstantStatistics[]
  /** The id of a constant; undefined when all of its slots are zero. */
  idOf(constant: ConstantDraft): ConstantId | undefined
  /** Whether every coefficient of the constant rounds to zero at a scale. No constant of a draft does. */
  roundsToZero(id: ConstantId, scale: number): boolean
}

/** Computes and stores constants. Equal constants of equal rounding get one id. */
export class StoredConstants implements ConstantPool {
  readonly constants = new GrowingConstants()
  readonly statistics: ConstantStatistics[] = []
  readonly #distinct: DistinctStatistics
  /** The largest absolute value of a slot of each constant. */
  readonly #largest: number[] = []
  readonly #index = new HashIndex()

  /** @param batch images that share a ciphertext */
  constructor(batch: number) {
    this.#distinct = new DistinctStatistics(batch)
  }

  idOf(draft: ConstantDraft): ConstantId | undefined {
    if (draft.isZero?.()) return undefined
    const constant = draft.make()
    if (constant === undefined) return undefined
    const factors = this.constants.factorsOf(constant)
    const exact = draft.exact ?? false
    const hash = hashOf(factors, exact)
    const known = this.#index.find(hash, (id) => this.#isSame(id, factors, exact))
    if (known !== undefined) return known
    this.statistics.push(this.#distinct.list[this.#distinct.numberOf(draft)])
    this.#largest.push(largestOf(constant))
    this.#index.add(hash)
    return this.constants.push(factors)
  }

  // No coefficient exceeds the largest slot.
  roundsToZero = (id: ConstantId, scale: number): boolean => this.#largest[id] * scale < 1 / 2

  #isSame(id: ConstantId, { fine, coarse, imaginary }: FactorNumbers, exact: boolean): boolean {
    const { constants, statistics } = this
    return (
      constants.fine.at(id) === fine &&
      constants.coarse.at(id) === coarse &&
      constants.imaginary.at(id) === imaginary &&
      statistics[id].exact === exact
    )
  }
}

function hashOf({ fine, coarse, imaginary }: FactorNumbers, exact: boolean): number {
  const ofFactors = fnv1aStep(fnv1aStep(fnv1aStep(FNV_OFFSET_BASIS, fine), coarse), imaginary)
  return mixed(fnv1aStep(ofFactors, Number(exact)))
}

/** Keeps the statistics of constants only. Constants of equal statistics get one id. */
export class DraftConstants implements ConstantPool {
  readonly constants: ConstantList = []
  readonly #statistics: DistinctStatistics

  /** @param batch images that share a ciphertext */
  constructor(batch: number) {
    this.#statistics = new DistinctStatistics(batch)
  }

  get statistics(): readonly ConstantStatistics[] {
    return this.#statistics.list
  }

  idOf(draft: ConstantDraft): ConstantId | undefined {
    return draft.isZero?.() ? undefined : this.#statistics.numberOf(draft)
  }

  roundsToZero = (): boolean => false
}

/** The statistics of constants, each once, because many constants share them. */
class DistinctStatistics {
  readonly list: ConstantStatistics[] = []
  readonly #batch: number
  /** Numbers by gain, for each period and rounding; the period is negated for exact constants. */
  readonly #numbers = new Map<number, Map<number, number>>()

  /** @param batch images that share a ciphertext */
  constructor(batch: number) {
    this.#batch = batch
  }

  /** Index in the list. */
  numberOf({ period, gain, rounding = 1, exact = false }: ConstantDraft): number {
    const numbers = this.#byGain(exact ? -period : period, rounding)
    let number = numbers.get(gain)
    if (number === undefined) {
      number = this.list.push({ period: periodForBatch(period, this.#batch), gain, rounding, exact }) - 1
      numbers.set(gain, number)
    }
    return number
  }

  #byGain(signedPeriod: number, rounding: number): Map<number, number> {
    // For the roundings 1/2, 1, 2 and 4 this is 9, 10, 12 and 16 times a period. Periods are powers of two,
    // so no two keys are equal.
    const key = signedPeriod * 8 * (1 + rounding / 4)
    let numbers = this.#numbers.get(key)
    if (numbers === undefined) {
      numbers = new Map()
      this.#numbers.set(key, numbers)
    }
    return numbers
  }
}
