import { once } from 'node:events'
import type { RefreshClient } from '../../he-ops/execution/session.ts'
import { ExecutionStopped } from '../../he-ops/executor.ts'
import { type ClientMessage, failure, type InferTask, type WorkerMessage } from './messages.ts'

/**
 * The client as a worker sees it: frames go to the thread that answers requests, and come from there, several rounds at a
 * time. A worker that waits for one does not compute.
 *
 * @param task to be given before anything is awaited: the closing of its port says that nobody will answer any more
 */
export function refreshOver({ port, stop }: InferTask): RefreshClient {
  const flag = new Int32Array(stop)
  const closed = once(port, 'close').then(() => {
    throw new ExecutionStopped(0)
  })
  closed.catch(() => {})
  const expected = new Map<number, (refreshed: Uint8Array) => void>()
  port.on('message', ({ round, refreshed }: ClientMessage) => expected.get(round)?.(refreshed))
  const say = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer)

  const answerTo = (round: number): Promise<Uint8Array> => {
    const { promise, resolve } = Promise.withResolvers<Uint8Array>()
    expected.set(round, resolve)
    // The port may have been closed while this thread was deaf.
    if (Atomics.load(flag, 0) !== 0) throw new ExecutionStopped(0)
    return Promise.race([promise, closed])
  }

  return async (round, masked, take) => {
    say({ kind: 'refresh', round, masked }, [masked.buffer])
    for (let taken = false; !taken; ) {
      const refreshed = await answerTo(round)
      try {
        await take(refreshed)
        taken = true
        expected.delete(round)
        say({ kind: 'taken', round, outcome: { kind: 'value', value: undefined } })
      } catch (error) {
        const outcome = failure(error)
        // A fault is no matter between client and server.
        if (outcome.kind !== 'error') throw error
        say({ kind: 'taken', round, outcome })
      }
    }
  }
}
