import type { Layout, ValueId } from '../../circuit/types.ts'

/** A tensor in ciphertexts: all values have one level and one scale. */
export interface Packed {
  readonly layout: Layout
  readonly values: readonly ValueId[]
  /** Whether the slots that hold no element are zero. */
  readonly clean: boolean
}
