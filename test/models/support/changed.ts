import type { Checkpoint, CheckpointTensor } from '../../../src/models/index.ts'

/** A checkpoint with some tensors replaced; null removes a tensor. */
export function changed(
  checkpoint: Checkpoint,
  changes: Record<string, CheckpointTensor | null>,
): Checkpoint {
  const copy = new Map(checkpoint)
  for (const [name, tensor] of Object.entries(changes)) {
    if (tensor) copy.set(name, tensor)
    else copy.delete(name)
  }
  return copy
}

/** A tensor of one value. */
export const filled = (shape: number[], value: number): CheckpointTensor => ({
  shape,
  data: new Float32Array(shape.reduce((product, n) => product * n, 1)).fill(value),
})
