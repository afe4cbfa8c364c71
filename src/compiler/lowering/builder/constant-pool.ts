import { largestOf } from '../../../circuit/constants/constant.ts'
import { type FactorNumbers, GrowingConstants } from '../../../circuit/constants/constant-table.ts'
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

/** More than the distinct factors of any circuit: keys of two numbers stay exact. */
const MOST_FACTORS = 2 ** 26

/** Computes and stores constants. Equal constants of equal rounding get one id. */
export class StoredConstants implements ConstantPool {
  readonly constants = new GrowingConstants()
  readonly statistics: ConstantStatistics[] = []
  readonly #batch: number
  /** The largest absolute value of a slot of each constant. */
  readonly #largest: number[] = []
  /** Ids by the coarse factor and the other words of the constant. There are millions of constants. */
  readonly #ids = new Map<number, Map<number, ConstantId>>()

  /** @param batch images that share a ciphertext */
  constructor(batch: number) {
    this.#batch = batch
  }

  idOf(draft: ConstantDraft): ConstantId | undefined {
    if (draft.isZero?.()) return undefined
    const constant = draft.make()
    if (constant === undefined) return undefined
    const factors = this.constants.factorsOf(constant)
    const ids = this.#idsOf(factors)
    const key = (2 * factors.fine + Number(draft.exact ?? false)) * MOST_FACTORS + factors.imaginary
    const known = ids.get(key)
    if (known !== undefined) return known
    this.statistics.push(statisticsOf(draft, this.#batch))
    const id = this.constants.push(factors)
    this.#largest.push(largestOf(constant))
    ids.set(key, id)
    return id
  }

  // No coefficient exceeds the largest slot.
  roundsToZero = (id: ConstantId, scale: number): boolean => this.#largest[id] * scale < 1 / 2

  #idsOf({ coarse }: FactorNumbers): Map<number, ConstantId> {
    const ids = this.#ids.get(coarse) ?? new Map<number, ConstantId>()
    this.#ids.set(coarse, ids)
    return ids
  }
}

/** Keeps the statistics of constants only. Constants of equal statistics get one id. */
export class DraftConstants implements ConstantPool {
  readonly constants: ConstantList = []
  readonly statistics: ConstantStatistics[] = []
  readonly #batch: number
  /** Ids by gain, for each period and rounding; the period is negated for exact constants. */
  readonly #ids = new Map<number, Map<number, ConstantId>>()

  /** @param batch images that share a ciphertext */
  constructor(batch: number) {
    this.#batch = batch
  }

  idOf(draft: ConstantDraft): ConstantId | undefined {
    if (draft.isZero?.()) return undefined
    const statistics = statisticsOf(draft, this.#batch)
    const { gain } = statistics
    const ids = this.#idsOf(statistics)
    const id = ids.get(gain) ?? this.statistics.push(statistics) - 1
    ids.set(gain, id)
    return id
  }

  roundsToZero = (): boolean => false

  #idsOf({ period, rounding, exact }: ConstantStatistics): Map<number, ConstantId> {
    // For the roundings 1/2, 1, 2 and 4 this is 9, 10, 12 and 16 times a period. Periods are powers of two,
    // so no two keys are equal.
    const key = (exact ? -period : period) * 8 * (1 + rounding / 4)
    let ids = this.#ids.get(key)
    if (ids === undefined) {
      ids = new Map()
      this.#ids.set(key, ids)
    }
    return ids
  }
}

const statisticsOf = (
  { period, gain, rounding = 1, exact = false }: ConstantDraft,
  batch: number,
): ConstantStatistics => ({ period: periodForBatch(period, batch), gain, rounding, exact })
