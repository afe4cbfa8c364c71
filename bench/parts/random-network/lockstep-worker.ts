import { parentPort, workerData } from 'node:worker_threads'
import { Barrier, VERDICT_RUN } from '../../../src/he-ops/simd/threads/barrier.ts'
import { loadNetwork, type Norm, referenceForward } from '../../../src/models/index.ts'
import { attentionsByKey, type ObservedAttention, setDenominators, sumRows } from './denominators.ts'
import type { LockstepShare } from './lockstep.ts'
import { type ElementSums, normsByInput, setStatistics, sumElements } from './norms.ts'

const { checkpoint, config, image, thread, threads, barrier: shared, sums } = workerData as LockstepShare
const network = loadNetwork(checkpoint, config)
const norms = normsByInput(network)
const attentions = attentionsByKey(network)
const queryNames = new Set([...attentions.values()].map(({ query }) => query))
const queries = new Map<string, Float64Array>()
const barrier = new Barrier(threads, shared)

const logits = referenceForward(network, image, (name, { data }) => {
  const norm = norms.get(name)
  if (norm) settle(norm, data)
  if (queryNames.has(name)) queries.set(name, data)
  const attention = attentions.get(name)
  if (attention) settleRows(attention, data)
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

/** As `settle`, for the denominators of attention. */
function settleRows({ layer, query }: ObservedAttention, key: Float64Array): void {
  const { length } = layer.denominator
  sumRows(layer, queries.get(query)!, key, ownSums(thread).subarray(0, length))
  queries.delete(query)
  meet()
  if (thread === 0) {
    setDenominators(
      layer,
      Array.from({ length: threads }, (_, k) => ownSums(k).subarray(0, length)),
    )
  }
  meet()
}

function sumsOf(owner: number, { mean }: Norm): ElementSums {
  const all = ownSums(owner)
  const statistics = all.length / 2
  return { sums: all.subarray(0, mean.length), squares: all.subarray(statistics, statistics + mean.length) }
}

/** The place of a thread in the shared memory. */
function ownSums(owner: number): Float64Array {
  const length = sums.byteLength / Float64Array.BYTES_PER_ELEMENT / threads
  return new Float64Array(sums, owner * length * Float64Array.BYTES_PER_ELEMENT, length)
}

function meet(): void {
  if (barrier.arrive() !== VERDICT_RUN) throw new Error('Another image of the batch has failed')
}
