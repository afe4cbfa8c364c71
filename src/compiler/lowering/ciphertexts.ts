import { channelsIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder.ts'

/**
 * Lowers a tensor ciphertext by ciphertext. A draft lowers only one of those that are alike and counts it for all of them:
 * those that hold equally many channels and are made from the same values of a draft.
 *
 * @param layout of the tensor that is made
 * @param operands values of tensors that are read ciphertext by ciphertext; none when each output reads all inputs
 * @returns one value for each ciphertext; in a draft, those of ciphertexts that are alike are the same
 */
export function eachCiphertext(
  builder: CircuitBuilder,
  layout: Layout,
  operands: readonly (readonly ValueId[])[],
  lower: (index: number) => ValueId,
): ValueId[] {
  const indices = Array.from({ length: layout.ciphertexts }, (_, index) => index)
  if (builder.emit) return indices.map(lower)
  const first = indices.map((index) => firstAlike(builder, layout, operands, index))
  const values: ValueId[] = []
  indices.forEach((index) => {
    const times = first.reduce((count, other) => count + (other === index ? 1 : 0), 0)
    values.push(times === 0 ? values[first[index]] : builder.counted(times, () => lower(index)))
  })
  return values
}

/** The first ciphertext that one is like; itself when there is none before it. */
function firstAlike(
  { apart }: CircuitBuilder,
  layout: Layout,
  operands: readonly (readonly ValueId[])[],
  index: number,
): number {
  const held = channelsIn(layout, index)
  for (let other = index % apart; other < index; other += apart) {
    const isAlike =
      channelsIn(layout, other) === held && operands.every((values) => values[other] === values[index])
    if (isAlike) return other
  }
  return index
}
