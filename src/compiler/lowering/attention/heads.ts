import type { Layout, ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'
import { type Operands, replicateGroups } from '../ciphertexts.ts'
import type { Packed } from '../packed.ts'
import type { Diagonals } from './diagonals.ts'

// A head group is what is lowered together: the heads of one ciphertext, or the ciphertexts of one head.

/** The values of a head group's ciphertexts. @param perGroup ciphertexts of a group */
const ofGroup = (values: readonly ValueId[], perGroup: number, group: number): readonly ValueId[] =>
  values.slice(group * perGroup, (group + 1) * perGroup)

/**
 * Lowers a product of attention head group by head group. In a draft, groups that read equal values are
 * replicates: one of them is lowered, with their number as its multiplicity.
 *
 * @param layout of query, key or value
 * @param tensors that are read, whose ciphertexts are those of all groups in order
 * @param lower returns the values of a group from those of its operands
 * @returns the values of all groups in order
 */
export function eachHeadGroup(
  builder: CircuitBuilder,
  layout: Layout,
  { span }: Diagonals,
  tensors: readonly Packed[],
  lower: (...operands: (readonly ValueId[])[]) => readonly ValueId[],
): ValueId[] {
  const count = layout.ciphertexts / span
  const groups = {
    ...layout,
    ciphertexts: count,
    channelsPerCiphertext: layout.channelsPerCiphertext * span,
  }
  const made: (readonly ValueId[])[] = new Array(count)
  for (const replicates of replicateGroups(builder, groups, byGroup(tensors, count))) {
    const operands = tensors.map(({ values }) => ofGroup(values, values.length / count, replicates[0]))
    const own = builder.withMultiplicity(replicates.length, () => lower(...operands))
    for (const group of replicates) made[group] = own
  }
  return made.flat()
}

/** Values of the tensors, a row for each place in a group. */
function byGroup(tensors: readonly Packed[], count: number): Operands {
  return tensors.flatMap(({ values }) => {
    const perGroup = values.length / count
    return Array.from({ length: perGroup }, (_, place) =>
      Array.from({ length: count }, (_, group) => values[group * perGroup + place]),
    )
  })
}
