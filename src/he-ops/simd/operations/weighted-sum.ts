import type { ConstantId } from '../../../circuit/types.ts'
import type { Value } from '../values/values.ts'

/** A weighted sum of values of one level and scale; the result's scale is theirs times `constantScale`. */
export interface Dot {
  readonly terms: readonly { readonly value: Value; readonly constant: ConstantId }[]
  readonly constantScale: number
  /** At the summands' level; extended when a summand is. */
  readonly out: Value
}
