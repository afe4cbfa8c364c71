import type { ConstantId } from '../../../circuit/types.ts'
import type { Value } from '../values/values.ts'

/** A weighted sum of values of one level and scale; the result's scale is theirs times `constantScale`. */
export interface Dot {
  readonly terms: readonly { readonly value: Value; readonly constant: ConstantId }[]
  readonly constantScale: number
  /** At the summands' level; extended when a summand is. */
  readonly out: Value
}

/** One summand of a sum, and the address of its weights. */
export interface Summand {
  readonly value: Value
  /** Address of the weights of the first limb; those of the other limbs follow, N >> shift words each. */
  readonly weights: number
  /**
   * As `weights`, for limbs modulo special primes: also an address counted from the first limb. Used where
   * the value has limbs modulo special primes.
   */
  readonly specialWeights: number
  /** As in `EncodedConstant`. */
  readonly shift: number
}

export interface Sum {
  readonly out: Value
  readonly terms: readonly Summand[]
}
