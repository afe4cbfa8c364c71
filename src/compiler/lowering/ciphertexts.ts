import { channelsIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder.ts'

/**
 * Lowers a tensor ciphertext by ciphertext. A draft lowers only one of those that are alike and counts it for
 * all of them: those that hold equally many channels and are made from the same values of a draft.
 *
 * @param layout of the tensor that is made
 * @param operands values of tensors that are read ciphertext by ciphertext; none when each output reads all
 *   inputs
 * @returns one value for each ciphertext; in a draft, those of ciphertexts that are alike are the same
 */
export function eachCiphertext(
  builder: CircuitBuilder,
  layout: Layout,
  operands: readonly (readonly ValueId[])[],
  lower: (index: number) => ValueId,
): ValueId[] {
  const values = new Array<ValueId>(layout.ciphertexts)
  for (const alike of replicateGroups(builder, layout, operands)) {
    const start = builder.ops.length
    let made: { readonly value: ValueId; readonly end: number } | undefined
    for (const sharing of Map.groupBy(alike, (index) => index % builder.apart).values()) {
      const value = builder.counted(sharing.length, () =>
        made === undefined ? lower(sharing[0]) : builder.again(start, made.end, made.value),
      )
      made ??= { value, end: builder.ops.length }
      for (const index of sharing) values[index] = value
    }
  }
  return values
}

/**
 * The numbers of a tensor's ciphertexts; in a draft, those that are alike together, in the order of the first
 * of them.
 *
 * @param operands as above
 */
export function replicateGroups(
  { emit }: CircuitBuilder,
  layout: Layout,
  operands: readonly (readonly ValueId[])[],
): (readonly number[])[] {
  const groups: number[][] = []
  for (let index = 0; index < layout.ciphertexts; index++) {
    const group = emit
      ? undefined
      : groups.find(
          ([first]) =>
            channelsIn(layout, first) === channelsIn(layout, index) &&
            operands.every((values) => values[first] === values[index]),
        )
    if (group === undefined) groups.push([index])
    else group.push(index)
  }
  return groups
}
