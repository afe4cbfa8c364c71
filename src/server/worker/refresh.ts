import type { RefreshClient } from '../../he-ops/engine.ts'
import { ExecutionStopped } from '../../he-ops/executor.ts'
import { failure, type InferTask, type RefreshReply, type WorkerMessage } from './messages.ts'

/**
 * The client as a worker sees it: frames go to the thread that answers requests, and come from there, several
 * rounds at a time. A worker that waits for one does not compute.
 *
 * @param task to be given before anything is waiting: the closing of its port says that nobody will answer
 *   any more
 */
export function refreshOver({ port, stop }: InferTask): RefreshClient {
  const flag = new Int32Array(stop)
  // A promise for each answer, and none for the port's end: it would hold whatever was raced against it,
  // frames and all.
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>()
  port.on('message', ({ round, refreshed }: RefreshReply) => waiting.get(round)?.resolve(refreshed))
  let isClosed = false
  port.once('close', () => {
    isClosed = true
    for (const { reject } of waiting.values()) reject(new ExecutionStopped(0))
  })
  const send = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer)

  const waitForReply = (round: number): Promise<Uint8Array> => {
    // The port may have been closed while this thread was deaf.
    if (isClosed || Atomics.load(flag, 0) !== 0) throw new ExecutionStopped(0)
    const reply = Promise.withResolvers<Uint8Array>()
    waiting.set(round, reply)
    return reply.promise
  }

  return async (round, masked, reply) => {
    send({ kind: 'refresh', round, masked }, [masked.buffer])
    for (let accepted = false; !accepted; ) {
      const refreshed = await waitForReply(round)
      try {
        await reply(refreshed)
        accepted = true
        waiting.delete(round)
        send({ kind: 'reply checked', round, outcome: { kind: 'value', value: undefined } })
      } catch (error) {
        const outcome = failure(error)
        // A fault is no matter between client and server.
        if (outcome.kind !== 'error') throw error
        send({ kind: 'reply checked', round, outcome })
      }
    }
  }
}
