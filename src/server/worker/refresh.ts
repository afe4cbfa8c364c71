import { once } from 'node:events'
import type { RefreshClient } from '../../he-ops/execution/session.ts'
import { ExecutionStopped } from '../../he-ops/executor.ts'
import { type ClientMessage, failure, type InferTask, type WorkerMessage } from './messages.ts'

/**
 * The client as a worker sees it: frames go to the thread that answers requests, and come from there. The worker waits
 * without computing; nothing else runs in it meanwhile, for its memory holds the inference.
 *
 * @param task to be given before anything is awaited: the closing of its port says that nobody will answer any more
 */
export function refreshOver({ port, stop }: InferTask): RefreshClient {
  const flag = new Int32Array(stop)
  const closed = once(port, 'close').then(() => {
    throw new ExecutionStopped(0)
  })
  closed.catch(() => {})
  const say = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer)

  const answer = async (): Promise<ClientMessage> => {
    const waiting = new AbortController()
    try {
      const message = once(port, 'message', { signal: waiting.signal })
      message.catch(() => {})
      // The port may have been closed while this thread was deaf.
      if (Atomics.load(flag, 0) !== 0) throw new ExecutionStopped(0)
      return (await Promise.race([message, closed]))[0]
    } finally {
      waiting.abort()
    }
  }

  return async (round, masked, take) => {
    say({ kind: 'refresh', round, masked }, [masked.buffer])
    for (let taken = false; !taken; ) {
      const { refreshed } = await answer()
      try {
        await take(refreshed)
        taken = true
        say({ kind: 'taken', outcome: { kind: 'value', value: undefined } })
      } catch (error) {
        const outcome = failure(error)
        // A fault is no matter between client and server.
        if (outcome.kind !== 'error') throw error
        say({ kind: 'taken', outcome })
      }
    }
  }
}
