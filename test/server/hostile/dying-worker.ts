import { BroadcastChannel, threadId } from 'node:worker_threads'
import { infer as inferReally } from '../../../src/server/worker/worker.ts'
import { DYING_WORKERS } from './dying-workers.ts'

// The worker of the service, which says which thread takes an inference, begins it when it is told to, and
// ends when it is told to: as when the system kills it.

const channel = new BroadcastChannel(DYING_WORKERS)
channel.unref()
const begins: (() => void)[] = []
channel.onmessage = (message: unknown) => {
  const { end, begin } = (message as { data: { end?: number; begin?: number } }).data
  if (end === threadId) process.exit(1)
  if (begin === threadId) begins.shift()?.()
}

export const infer: typeof inferReally = async (task) => {
  channel.postMessage({ took: threadId })
  await new Promise<void>((resolve) => begins.push(resolve))
  return inferReally(task)
}

export { checkKeys, forgetKeys } from '../../../src/server/worker/worker.ts'
