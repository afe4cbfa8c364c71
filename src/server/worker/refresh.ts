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
  // A promise for each answer, and none for the port's end: it would hold whatever was raced against it, frames and all.
  let awaited: PromiseWithResolvers<ClientMessage> | undefined
  port.on('message', (message: ClientMessage) => awaited?.resolve(message))
  port.once('close', () => awaited?.reject(new ExecutionStopped(0)))
  const say = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer)

  const answer = (): Promise<ClientMessage> => {
    // The port may have been closed while this thread was deaf.
    if (Atomics.load(flag, 0) !== 0) throw new ExecutionStopped(0)
    awaited = Promise.withResolvers()
    return awaited.promise
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
