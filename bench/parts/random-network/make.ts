import { Barrier } from '../../../src/he-ops/simd/threads/barrier.ts'
import type { Checkpoint, NetworkConfig } from '../../../src/models/index.ts'
import { deviation } from '../../../test/models/support/golden.ts'
import { runLockstep } from './lockstep.ts'
import { randomWeights } from './weights.ts'

/** Standard deviation of an image's logits, similar to that of trained networks. */
const LOGIT_DEVIATION = 2

/**
 * Makes an untrained network with realistic values: random weights, and norms with the statistics of real
 * images, layer by layer.
 *
 * @param images the batch for the statistics, [3, H, W] each, preprocessed; each takes a thread
 */
export async function makeNetwork(
  config: NetworkConfig,
  images: readonly Float64Array[],
  seed = 1,
): Promise<Checkpoint> {
  const checkpoint = randomWeights(config, seed)
  const positions = Math.max(...config.geometry.map(({ height, width }) => height * width))
  const logits = await runLockstep(images, {
    checkpoint,
    config,
    barrier: new Barrier(images.length).shared,
    sums: new SharedArrayBuffer(images.length * 2 * positions * Float64Array.BYTES_PER_ELEMENT),
  })
  const head = checkpoint.get('head.3.weight')!.data
  const factor = LOGIT_DEVIATION / rootMeanSquare(logits.map(deviation))
  for (let i = 0; i < head.length; i++) head[i] *= factor
  return checkpoint
}

const rootMeanSquare = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
