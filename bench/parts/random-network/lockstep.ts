import { Worker } from 'node:worker_threads'
import type { Checkpoint, NetworkConfig } from '../../../src/models/index.ts'

/** The data of one thread of a lockstep run. */
export interface LockstepShare {
  readonly checkpoint: Checkpoint
  readonly config: NetworkConfig
  /** [3, H, W] */
  readonly image: Float64Array
  readonly thread: number
  readonly threads: number
  /** Memory of a `Barrier` of all threads. */
  readonly barrier: SharedArrayBuffer
  /** Sums and squares of each thread, in float64, for as many statistics as the largest norm has. */
  readonly sums: SharedArrayBuffer
}

/**
 * Runs images through a network together, with a thread for each, as training does with a batch. At each norm
 * all threads wait until its statistics are set to those of the images. The float reference computes.
 *
 * @param checkpoint in shared memory; its running statistics are overwritten
 * @param share all fields except `image` and `thread`
 * @returns logits of the images in the resulting network
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
