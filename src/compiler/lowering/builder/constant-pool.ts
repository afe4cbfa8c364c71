import { GrowingConstants } from '../../../circuit/constants/constant-table.ts'
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

type FactorNumbers = ReturnType<GrowingConstants['factorsOf']>

/** Computes and stores constants. Equal constants get one id. */
export class StoredConstants implements ConstantPool {
  readonly constants = new GrowingConstants()
  readonly statistics: ConstantStatistics[] = []
  readonly #batch: number
  /** Ids of plain constants, at index 2 * factor + (1 if exact). */
  readonly #plainIds: (ConstantId | undefined)[] = []
  readonly #outerIds = new Map<string, ConstantId>()

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

  #knownId([fine, coarse]: FactorNumbers, exact: boolean): ConstantId | undefined {
    return coarse === 0
      ? this.#plainIds[2 * fine + Number(exact)]
      : this.#outerIds.get(`${exact}:${fine}:${coarse}`)
  }

  #store(factors: FactorNumbers, statistics: ConstantStatistics): ConstantId {
    this.statistics.push(statistics)
    const id = this.constants.push(factors)
    const [fine, coarse] = factors
    if (coarse === 0) this.#plainIds[2 * fine + Number(statistics.exact)] = id
    else this.#outerIds.set(`${statistics.exact}:${fine}:${coarse}`, id)
    return id
  }
}

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
