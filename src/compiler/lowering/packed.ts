import type { Layout, ValueId } from '../../circuit/types.ts'

/** A tensor in ciphertexts. All values have the same level and the same scale. */
export interface Packed {
  readonly layout: Layout
  readonly values: readonly ValueId[]
  /** Whether all slots without an element are zero. */
  readonly clean: boolean
}
