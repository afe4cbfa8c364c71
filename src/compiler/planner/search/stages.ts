import type { CircuitBuilder } from '../../lowering/builder.ts'

/** What the layers take that read tensors of one interleave. */
export interface Stage {
  readonly seconds: number
  /** Steps of their rotations, a Galois key each. */
  readonly steps: ReadonlySet<number>
}

/**
 * A draft's operations by the interleave of what their layers read.
 *
 * @param seconds of each operation, once
 */
export function stagesOf(
  { ops, counts, interleaves }: Pick<CircuitBuilder, 'ops' | 'counts' | 'interleaves'>,
  seconds: Float64Array,
): Map<number, Stage> {
  const stages = new Map<number, { seconds: number; steps: Set<number> }>()
  ops.forEach((op, id) => {
    const interleave = interleaves[op.layer]
    const stage = stages.get(interleave) ?? { seconds: 0, steps: new Set() }
    stages.set(interleave, stage)
    stage.seconds += seconds[id] * counts[id]
    if (op.kind === 'rotate') stage.steps.add(op.steps)
  })
  return stages
}
