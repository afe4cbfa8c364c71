import type { Layout, ValueId } from '../../circuit/types.ts'

/** A tensor in ciphertexts. All values have the same level and the same scale. */
export interface Packed {
  readonly layout: Layout
  readonly values: readonly ValueId[]
  /** Whether all slots without an element are zero. */
  readonly clean: boolean
  /**
   * Whether the two channels of each slot have changed places: the tensor is the exchange of the values. Only
   * products read such a tensor.
   */
  readonly exchanged?: boolean
}
