import { parentPort, workerData } from 'node:worker_threads'
import { Barrier, VERDICT_RUN } from '../../../src/he-ops/simd/threads/barrier.ts'
import { loadNetwork, type Norm, referenceForward } from '../../../src/models/index.ts'
import type { LockstepShare } from './lockstep.ts'
import { type ElementSums, normsByInput, setStatistics, sumElements } from './norms.ts'

const { checkpoint, config, image, thread, threads, barrier: shared, sums } = workerData as LockstepShare
const network = loadNetwork(checkpoint, config)
const norms = normsByInput(network)
const barrier = new Barrier(threads, shared)

const logits = referenceForward(network, image, (name, { data }) => {
  const norm = norms.get(name)
  if (norm) settle(norm, data)
})
parentPort!.postMessage(logits)

/**
 * All threads call this with the same norm. When all have summed, one thread writes the statistics, and all
 * continue.
 */
function settle(norm: Norm, data: Float64Array): void {
  sumElements(norm, data, sumsOf(thread, norm))
  meet()
  if (thread === 0) {
    const images = Array.from({ length: threads }, (_, k) => sumsOf(k, norm))
    setStatistics(norm, data.length / norm.mean.length, images)
  }
  meet()
}

function sumsOf(owner: number, { mean }: Norm): ElementSums {
  const statistics = sums.byteLength / Float64Array.BYTES_PER_ELEMENT / 2 / threads
  const all = new Float64Array(sums, owner * 2 * statistics * Float64Array.BYTES_PER_ELEMENT, 2 * statistics)
  return { sums: all.subarray(0, mean.length), squares: all.subarray(statistics, statistics + mean.length) }
}

function meet(): void {
  if (barrier.arrive() !== VERDICT_RUN) throw new Error('Another image of the batch has failed')
}
