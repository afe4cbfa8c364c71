import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { eachCiphertext } from './ciphertexts.ts'

/** A tensor in ciphertexts. All values have the same level and the same scale. */
export interface Packed {
  readonly layout: Layout
  /** One value for each ciphertext of the layout. */
  readonly values: readonly ValueId[]
  /**
   * Present where the tensor is split, as products read it: `values` then have the real parts of the layout's
   * slots, and these values have the imaginary parts, as real parts of their own slots. A ciphertext of one
   * channel has no such value.
   */
  readonly imaginary?: readonly (ValueId | undefined)[]
  /** Whether all slots without an element are zero. */
  readonly clean: boolean
}

/** How a layer writes its output: two channels in a slot, or split. */
export type Form = 'joined' | 'split'

/** A tensor with each of its values replaced. */
export function mapValues(
  builder: CircuitBuilder,
  packed: Packed,
  lower: (value: ValueId, index: number, part: 0 | 1) => ValueId,
): Packed {
  const { layout, values, imaginary } = packed
  const mapped = eachCiphertext(builder, layout, [values], (index) => lower(values[index], index, 0))
  if (imaginary === undefined) return { ...packed, values: mapped }
  const others = eachCiphertext(builder, layout, [imaginary], (index) => {
    const value = imaginary[index]
    return value === undefined ? undefined : lower(value, index, 1)
  })
  return { ...packed, values: mapped, imaginary: others }
}
