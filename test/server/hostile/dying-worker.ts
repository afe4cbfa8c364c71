import { BroadcastChannel, threadId } from 'node:worker_threads'
import { infer as inferReally } from '../../../src/server/worker/worker.ts'
import { DYING_WORKERS } from './dying-workers.ts'

// The worker of the service, which says which thread takes an inference, and ends when it is told to: as when
// the system kills it.

const channel = new BroadcastChannel(DYING_WORKERS)
channel.unref()
channel.onmessage = (message: unknown) => {
  if ((message as { data: { end?: number } }).data.end === threadId) process.exit(1)
}

export const infer: typeof inferReally = (task) => {
  channel.postMessage({ took: threadId })
  return inferReally(task)
}

export { checkKeys, forgetKeys } from '../../../src/server/worker/worker.ts'
