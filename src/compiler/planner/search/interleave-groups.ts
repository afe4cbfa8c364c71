import type { CircuitBuilder } from '../../lowering/builder.ts'

/** What the layers take that read tensors of one interleave. */
export interface InterleaveGroup {
  readonly seconds: number
  /** Steps of their rotations, a Galois key each. */
  readonly steps: ReadonlySet<number>
}

/**
 * A draft's operations by the interleave of what their layers read.
 *
 * @param seconds of each operation, once
 */
export function interleaveGroups(
  { ops, counts, interleaves }: Pick<CircuitBuilder, 'ops' | 'counts' | 'interleaves'>,
  seconds: Float64Array,
): Map<number, InterleaveGroup> {
  const groups = new Map<number, { seconds: number; steps: Set<number> }>()
  ops.forEach((op, id) => {
    const interleave = interleaves[op.layer]
    const stage = groups.get(interleave) ?? { seconds: 0, steps: new Set() }
    groups.set(interleave, stage)
    stage.seconds += seconds[id] * counts[id]
    if (op.kind === 'rotate') stage.steps.add(op.steps)
  })
  return groups
}
