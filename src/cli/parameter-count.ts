import type { Checkpoint } from '../models/index.ts'

/** Tensors of a checkpoint that are not learned. */
const BUFFERS = /(^|\.)(running_mean|running_var|running_denom|num_batches_tracked|n_averaged|p)$/

/** Number of learned values in a checkpoint, as `model.parameters()` counts them. */
export const parameterCount = (checkpoint: Checkpoint): number =>
  [...checkpoint].filter(([name]) => !BUFFERS.test(name)).reduce((sum, [, { data }]) => sum + data.length, 0)
