import { channelsIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { type LoweredValue, replicate } from './replicate.ts'

/** Values of tensors, by ciphertext. */
export type Operands = readonly (readonly (ValueId | undefined)[])[]

/**
 * Lowers a tensor ciphertext by ciphertext. In a draft, ciphertexts are replicates of each other when they
 * hold equally many channels and are made from equal operands; one of them is lowered, with the number of
 * replicates as its multiplicity.
 *
 * @param layout of the tensor that is made
 * @param operands values of the tensors that are read ciphertext by ciphertext; none when each output reads
 *   all inputs
 * @param lower returns undefined where a ciphertext has no value
 * @returns one value for each ciphertext; in a draft, replicates share a value
 */
export function eachCiphertext<V extends ValueId | undefined>(
  builder: CircuitBuilder,
  layout: Layout,
  operands: Operands,
  lower: (index: number) => V,
): V[] {
  const values = new Array<V>(layout.ciphertexts)
  for (const replicates of replicateGroups(builder, layout, operands)) {
    const start = builder.ops.length
    let first: LoweredValue<V> | undefined
    // Replicates that later layers tell apart have values of their own.
    for (const sharing of Map.groupBy(replicates, (index) => index % builder.replicateStride).values()) {
      const value = builder.withMultiplicity(sharing.length, () =>
        first === undefined ? lower(sharing[0]) : replicate(builder, first),
      )
      first ??= { value, start, end: builder.ops.length }
      for (const index of sharing) values[index] = value
    }
  }
  return values
}

/**
 * The indices of a tensor's ciphertexts in groups of replicates, ordered by the first index of each group.
 * Every group of a circuit that is no draft has one index.
 *
 * @param operands as for `eachCiphertext`
 */
export function replicateGroups(
  { isDraft }: CircuitBuilder,
  layout: Layout,
  operands: Operands,
): (readonly number[])[] {
  const groups: number[][] = []
  for (let index = 0; index < layout.ciphertexts; index++) {
    const group = isDraft
      ? groups.find(
          ([first]) =>
            channelsIn(layout, first) === channelsIn(layout, index) &&
            operands.every((values) => values[first] === values[index]),
        )
      : undefined
    if (group === undefined) groups.push([index])
    else group.push(index)
  }
  return groups
}
