import type { CircuitBuilder } from '../../lowering/builder/circuit-builder.ts'

/** Cost of the layers that read tensors of one interleave. */
export interface InterleaveGroup {
  readonly seconds: number
  /** Steps of their rotations, and 0 where they conjugate. Each needs a Galois key. */
  readonly steps: ReadonlySet<number>
}

/**
 * Sums up a draft's operations by the interleave of the tensor that their layer reads.
 *
 * @param seconds of each operation, counted once
 */
export function interleaveGroups(
  { ops, counts, layers }: Pick<CircuitBuilder, 'ops' | 'counts' | 'layers'>,
  seconds: Float64Array,
): Map<number, InterleaveGroup> {
  const groups = new Map<number, { seconds: number; steps: Set<number> }>()
  ops.forEach((op, id) => {
    const { interleave } = layers[op.layer]
    const group = groups.get(interleave) ?? { seconds: 0, steps: new Set() }
    groups.set(interleave, group)
    group.seconds += seconds[id] * counts[id]
    if (op.kind === 'rotate') group.steps.add(op.steps)
    else if (op.kind === 'conjugate') group.steps.add(0)
  })
  return groups
}
