import { Worker } from 'node:worker_threads'
import type { Checkpoint, NetworkConfigLiteral } from '../../../src/models/index.ts'

/** What one thread of a lockstep run is given. */
export interface LockstepShare {
  readonly checkpoint: Checkpoint
  readonly config: NetworkConfigLiteral
  /** [3, H, W] */
  readonly image: Float64Array
  readonly thread: number
  readonly threads: number
  /** Of a `Barrier` of all threads. */
  readonly barrier: SharedArrayBuffer
  /** For each thread sums and squares of as many positions as the largest map has, in float64. */
  readonly sums: SharedArrayBuffer
}

/**
 * Runs images through a network together, a thread for each, and sets every norm's statistics to what the
 * images have there before any goes on: what training does to a batch. The float reference computes; this
 * only waits between layers.
 *
 * @param checkpoint in shared memory; its running statistics are overwritten
 * @param share all but `image` and `thread`
 * @returns logits of the images, as the network then gives them
 */
export async function runLockstep(
  images: readonly Float64Array[],
  share: Omit<LockstepShare, 'image' | 'thread' | 'threads'>,
): Promise<Float64Array[]> {
  return Promise.all(
    images.map((image, thread) => inThread({ ...share, image, thread, threads: images.length })),
  )
}

function inThread(share: LockstepShare): Promise<Float64Array> {
  const worker = new Worker(new URL('./lockstep-worker.ts', import.meta.url), { workerData: share })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}
