import { Barrier } from '../../../src/he-ops/simd/threads/barrier.ts'
import { type Checkpoint, loadNetwork, type NetworkConfig } from '../../../src/models/index.ts'
import { deviation } from '../../../test/models/support/golden.ts'
import { runLockstep } from './lockstep.ts'
import { normsByInput } from './norms.ts'
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
  const network = loadNetwork(checkpoint, config)
  const statistics = Math.max(...[...normsByInput(network).values()].map(({ mean }) => mean.length))
  const logits = await runLockstep(images, {
    checkpoint,
    config,
    barrier: new Barrier(images.length).shared,
    sums: new SharedArrayBuffer(images.length * 2 * statistics * Float64Array.BYTES_PER_ELEMENT),
  })
  const head = network.operations.find((operation) => operation.kind === 'classify')!.weight
  const factor = LOGIT_DEVIATION / rootMeanSquare(logits.map(deviation))
  for (let i = 0; i < head.length; i++) head[i] *= factor
  return checkpoint
}

const rootMeanSquare = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
