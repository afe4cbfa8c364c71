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
}

/** Computes and stores constants. Equal constants get one id. */
export class StoredConstants implements ConstantPool {
  readonly constants = new GrowingConstants()
  readonly statistics: ConstantStatistics[] = []
  readonly #batch: number
  /** Ids of plain real constants, at index 2 * factor + (1 if exact). */
  readonly #plainIds: (ConstantId | undefined)[] = []
  readonly #otherIds = new Map<string, ConstantId>()

  /** @param batch images that share a ciphertext */
  constructor(batch: number) {
    this.#batch = batch
  }

  idOf({ period, gain, exact = false, make, isZero }: ConstantDraft): ConstantId | undefined {
    if (isZero?.()) return undefined
    const constant = make()
    if (constant === undefined) return undefined
    const factors = this.constants.factorsOf(constant)
    const known = this.#knownId(factors, exact)
    return known ?? this.#store(factors, { period: periodForBatch(period, this.#batch), gain, exact })
  }

  #knownId(factors: FactorNumbers, exact: boolean): ConstantId | undefined {
    return isPlain(factors)
      ? this.#plainIds[2 * factors.fine + Number(exact)]
      : this.#otherIds.get(keyOf(factors, exact))
  }

  #store(factors: FactorNumbers, statistics: ConstantStatistics): ConstantId {
    this.statistics.push(statistics)
    const id = this.constants.push(factors)
    const exact = statistics.exact ?? false
    if (isPlain(factors)) this.#plainIds[2 * factors.fine + Number(exact)] = id
    else this.#otherIds.set(keyOf(factors, exact), id)
    return id
  }
}

const isPlain = ({ coarse, imaginary }: FactorNumbers): boolean => coarse === 0 && imaginary === 0

const keyOf = ({ fine, coarse, imaginary }: FactorNumbers, exact: boolean): string =>
  `${exact}:${fine}:${coarse}:${imaginary}`

/** Keeps the statistics of constants only. Constants of equal statistics get one id. */
export class DraftConstants implements ConstantPool {
  readonly constants: ConstantList = []
  readonly statistics: ConstantStatistics[] = []
  readonly #batch: number
  /** Ids by gain, for each period; the period is negated for exact constants. */
  readonly #ids = new Map<number, Map<number, ConstantId>>()

  /** @param batch images that share a ciphertext */
  constructor(batch: number) {
    this.#batch = batch
  }

  idOf({ period, gain, exact = false, isZero }: ConstantDraft): ConstantId | undefined {
    if (isZero?.()) return undefined
    const statistics = { period: periodForBatch(period, this.#batch), gain, exact }
    const ids = this.#idsOf(statistics)
    const id = ids.get(gain) ?? this.statistics.push(statistics) - 1
    ids.set(gain, id)
    return id
  }

  #idsOf({ period, exact }: ConstantStatistics): Map<number, ConstantId> {
    const key = exact ? -period : period
    let ids = this.#ids.get(key)
    if (ids === undefined) {
      ids = new Map()
      this.#ids.set(key, ids)
    }
    return ids
  }
}
