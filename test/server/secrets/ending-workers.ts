import { BroadcastChannel, isMainThread } from 'node:worker_threads'

/** The channel on which the threads of a traced service are told to end. */
export const ENDING_WORKERS = 'polyveil test: ending workers'

// Imported before the modules of each thread: a worker then ends when it is told to, as when the system kills
// it.
if (!isMainThread) {
  const channel = new BroadcastChannel(ENDING_WORKERS)
  channel.unref()
  channel.onmessage = () => process.exit(1)
}
